import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const gatewayFolder = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles the gateway, and what it needs, as far as it has changed; the processes below run what is shipped.
 */
export const buildGateway = async (): Promise<void> => {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const build = spawn(process.execPath, [compiler, '-b', gatewayFolder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [code] = (await once(build, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the gateway does not compile (tsc ended with ${code})`);
};

/** A gateway in a process of its own. */
export interface GatewayProcess {
  readonly child: ChildProcess;
  /** Where it listens; rejects when it ends before. */
  readonly url: Promise<string>;
  readonly exited: Promise<{ code: number | null; stderr: string; stdout: string }>;
}

/** Starts the compiled gateway with just this environment. */
export const runGateway = (env: Readonly<Record<string, string>>): GatewayProcess => {
  const child = spawn(process.execPath, [`${gatewayFolder}/dist/main.js`], {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr, stdout }));
  const url = new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url));
    child.once('close', () => reject(new Error(`the gateway ended: ${stderr}`)));
  });
  url.catch(() => undefined);
  return { child, url, exited };
};
