import { spawn } from 'node:child_process';

/** What keeps a command from going on, said in one sentence. */
export class BootstrapError extends Error {}

/** npm takes back what it installed before it ends, a minute long; what it leaves is not taken for installed. */
const endWithinMs = 5_000;

/**
 * Runs a program to its end with our console, or, where `onOutput` takes what it prints, without; answers its exit code,
 * or 128 + the signal's number.
 * When `signal` is aborted the program is asked to end, and after five seconds made to.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, signal: AbortSignal, onOutput?: (text: string) => void }} options
 * @returns {Promise<number>}
 */
export const run = (command, args, { cwd, env = process.env, signal, onOutput }) =>
  new Promise((resolve, reject) => {
    const output = onOutput === undefined ? 'inherit' : 'pipe';
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', output, output] });
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', onOutput);
    let timer;
    const stop = () => {
      child.kill('SIGTERM');
      timer = setTimeout(() => child.kill('SIGKILL'), endWithinMs);
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    child.on('error', reject);
    // All it printed has been read at `close`; one that was made to end is not waited for until then.
    child.on('exit', (code, killedBy) => {
      if (onOutput === undefined || signal.aborted) end(code, killedBy);
    });
    child.on('close', (code, killedBy) => end(code, killedBy));
    const end = (code, killedBy) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      resolve(code ?? (killedBy === 'SIGINT' ? 130 : 143));
    };
  });
