import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A compiled service of ours in a process of its own, as a container runs it. */
export interface ServiceProcess {
  /** Where it listens, once it is ready; rejects when it ends before. */
  readonly url: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  readonly signal: (name: NodeJS.Signals) => void;
  /** What it has written to standard output and error so far. */
  readonly written: () => { readonly stdout: string; readonly stderr: string };
}

/** Starts `<folder>/dist/main.js` with just this environment. */
export const runService = (folder: string, env: Readonly<Record<string, string>>): ServiceProcess => {
  const main = fileURLToPath(new URL(`../../${folder}/dist/main.js`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let onReady: (url: string) => void = () => undefined;
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const ready = /"url":"([^"]+)","msg":"ready"/.exec(stdout);
    if (ready?.[1] !== undefined) onReady(ready[1]);
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  const url = new Promise<string>((resolve, reject) => {
    onReady = resolve;
    void ended.then(() => reject(new Error(`the service ended before it was ready: ${stderr}`)));
  });
  url.catch(() => undefined);
  return { url, ended, signal: (name) => child.kill(name), written: () => ({ stdout, stderr }) };
};
