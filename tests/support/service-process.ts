import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A process that has ended, and all that it wrote. */
export interface EndedProcess {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of Node. */
export interface RunningProcess {
  readonly ended: Promise<EndedProcess>;
  readonly signal: (name: NodeJS.Signals) => void;
  /** What it has written to standard output and error so far. */
  readonly written: () => { readonly stdout: string; readonly stderr: string };
}

/** A compiled service of ours in a process of its own, as a container runs it. */
export interface ServiceProcess extends RunningProcess {
  /** Where it listens, once it is ready; rejects when it ends before. */
  readonly url: Promise<string>;
}

/** Runs a file, by its path from the root, with just this environment. */
export const runFile = (
  file: string,
  options: {
    readonly args?: readonly string[];
    readonly nodeOptions?: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** Told whenever standard output has grown, with all of it. */
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
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
    signal: (name) => child.kill(name),
    written: () => ({ stdout, stderr }),
  };
};

/** Starts `<folder>/dist/main.js` with just this environment. */
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
