import { spawn } from 'node:child_process';

/** A failure that a person can repair; its message is one sentence that says how. */
export class BootstrapError extends Error {
  exitCode = 1;
}

/** A BootstrapError because a command was called with wrong arguments. */
export class UsageError extends BootstrapError {
  exitCode = 2;
}

/**
 * An aborted npm undoes its installation before it ends, which may take a minute. We do not wait that long
 * for it.
 */
const endWithinMs = 5_000;

/**
 * Runs a program to its end and returns its exit code, or 128 + the number of the signal that ended it. The
 * program uses our console, unless `onOutput` takes what it prints. When `signal` is aborted, the program
 * gets SIGTERM, and five seconds later SIGKILL.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, signal: AbortSignal, onOutput?: (text: string) => void }} o
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
    // `close` follows when all output has been read. After an abort, or without output to read, `exit` is
    // enough.
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
