import { spawn } from 'node:child_process';

/** What keeps a command from going on, said in one sentence. */
export class BootstrapError extends Error {}

/**
 * Runs a program to its end with our console; answers its exit code, or 128 + the signal's number.
 * When `signal` is aborted the program is asked to end.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<number>}
 */
export const run = (command, args, { cwd, env = process.env, signal }) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] });
    const stop = () => child.kill('SIGTERM');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    child.on('error', reject);
    child.on('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop);
      resolve(code ?? (killedBy === 'SIGINT' ? 130 : 143));
    });
  });
