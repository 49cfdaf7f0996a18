import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The exit of a process, and everything that it wrote. */
export interface EndedProcess {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running Node process. */
export interface RunningProcess {
  /** Its process id; undefined if it could not be started. */
  readonly pid: number | undefined;
  readonly ended: Promise<EndedProcess>;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Returns what it has written so far to standard output and standard error. */
  readonly written: () => { readonly stdout: string; readonly stderr: string };
}

/** A compiled service in a process of its own, as in a container. */
export interface ServiceProcess extends RunningProcess {
  /** Resolves with its address when it is ready. Rejects if it exits before. */
  readonly url: Promise<string>;
}

/** Runs a file, given by its path from the root, with only this environment. */
export const runFile = (
  file: string,
  options: {
    readonly args?: readonly string[];
    readonly nodeOptions?: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** Called with the whole standard output each time it has grown. */
    readonly onOutput?: (stdout: string) => void;
  },
): RunningProcess => {
  const { args = [], nodeOptions = [], env, onOutput } = options;
  const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
  const child = spawn(process.execPath, [...nodeOptions, path, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    onOutput?.(stdout);
  });
  return {
    pid: child.pid,
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
    signal: (name) => child.kill(name),
    written: () => ({ stdout, stderr }),
  };
};

/** Starts `<folder>/dist/main.js` with only this environment. */
export const runService = (folder: string, env: Readonly<Record<string, string>>): ServiceProcess => {
  let onReady: (url: string) => void = () => undefined;
  const service = runFile(`${folder}/dist/main.js`, {
    env,
    onOutput: (stdout) => {
      const ready = /"url":"([^"]+)","msg":"ready"/.exec(stdout);
      if (ready?.[1] !== undefined) onReady(ready[1]);
    },
  });
  const url = new Promise<string>((resolve, reject) => {
    onReady = resolve;
    void service.ended.then(({ stderr }) =>
      reject(new Error(`the service ended before it was ready: ${stderr}`)),
    );
  });
  url.catch(() => undefined);
  return { ...service, url };
};
