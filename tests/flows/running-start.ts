import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

const cli = fileURLToPath(new URL('../../packages/cli/start.mjs', import.meta.url));

/** A process of this machine. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** `npm start` as a test sees it. */
export interface RunningStart {
  readonly pid: number;
  /** All that it printed so far. */
  output(): string;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
  /** Waits until it printed that; answers what the pattern's first group matched. */
  prints(pattern: RegExp): Promise<string>;
  /** Waits until the graph is ready; answers the gateway's address. */
  ready(): Promise<string>;
  /** The services it runs at the moment, PostgreSQL included. */
  processes(): Promise<readonly Process[]>;
}

/** Runs a command of the command line to its end; answers what it prints, and rejects when it fails. */
export const printedBy = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [cli, ...args])).stdout;

/** Runs `npm start` of this checkout, as npm runs it, with these arguments. */
export const runStart = (...args: string[]): RunningStart => {
  const child = spawn(process.execPath, [cli, 'start', ...args], {
    env: { ...process.env, NODE_ENV: 'development', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  let hasEnded = false;
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  void ended.then(() => (hasEnded = true));
  const { pid } = child;
  if (pid === undefined) throw new Error('npm start could not be started');
  const prints = async (pattern: RegExp) => {
    for (;;) {
      const match = pattern.exec(output);
      if (match) return match[1] ?? match[0];
      if (hasEnded) throw new Error(`npm start ended before it printed ${String(pattern)}:\n${output}`);
      await delay(20);
    }
  };
  return {
    pid,
    output: () => output,
    ended,
    signal: (name) => child.kill(name),
    prints,
    ready: async () => {
      const endpoint = await prints(/GraphQL +(http\S+)\/graphql/);
      await prints(/Ctrl-C stops everything/);
      return endpoint;
    },
    processes: async () => (await listProcesses()).filter(({ parent }) => parent === pid),
  };
};

/** Every process of this machine. */
export const listProcesses = async (): Promise<readonly Process[]> => {
  const { stdout } = await promisify(execFile)('ps', ['-eww', '-o', 'pid=,ppid=,command=']);
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return command === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
};

/** Those of the processes that still live. */
export const stillAlive = async (processes: readonly Process[]): Promise<readonly Process[]> => {
  const now = await listProcesses();
  return processes.filter(({ pid, command }) =>
    now.some((other) => other.pid === pid && other.command === command),
  );
};

/** What the graph answered. */
export interface Answer {
  readonly status: number;
  readonly body: { readonly data?: unknown; readonly errors?: unknown };
}

/** Asks the graph. */
export const ask = async (gateway: string, query: string): Promise<Answer> => {
  const response = await fetch(`${gateway}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
};
