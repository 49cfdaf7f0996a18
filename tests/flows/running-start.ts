import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

const cli = fileURLToPath(new URL('../../packages/cli/start.mjs', import.meta.url));

/** A process on this machine. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** A running `npm start`. */
export interface RunningStart {
  readonly pid: number;
  /** Returns everything that it has printed so far. */
  output(): string;
  /** Resolves with its exit code. */
  readonly ended: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
  /** Waits until its output matches the pattern. Returns the match of the pattern's first group. */
  prints(pattern: RegExp): Promise<string>;
  /** Waits until the gateway is ready. Returns its address. */
  ready(): Promise<string>;
  /** Returns the services that it runs at the moment, including PostgreSQL. */
  processes(): Promise<readonly Process[]>;
}

/** Runs a command of the command line to its end and returns its output. Rejects if it fails. */
export const printedBy = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [cli, ...args])).stdout;

/** Runs `npm start` of this clone with these arguments, as npm does. */
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
  if (pid === undefined) throw new Error('npm start could not be run.');
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

/** Returns all processes on this machine. */
export const listProcesses = async (): Promise<readonly Process[]> => {
  const { stdout } = await promisify(execFile)('ps', ['-eww', '-o', 'pid=,ppid=,command=']);
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return command === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
};

/** Returns those of the processes that still exist. */
export const stillAlive = async (processes: readonly Process[]): Promise<readonly Process[]> => {
  const now = await listProcesses();
  return processes.filter(({ pid, command }) =>
    now.some((other) => other.pid === pid && other.command === command),
  );
};

/** The response of the gateway. */
export interface Answer {
  readonly status: number;
  readonly body: { readonly data?: unknown; readonly errors?: unknown };
}

/** Sends a query to the gateway. */
export const ask = async (gateway: string, query: string): Promise<Answer> => {
  const response = await fetch(`${gateway}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
};
