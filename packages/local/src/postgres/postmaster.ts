import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** What a PostgreSQL server writes about itself to `postmaster.pid` in its data directory. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/**
 * Reads `postmaster.pid` of a data directory. Returns `undefined` if the file is missing or has no process
 * number.
 */
export const readPostmaster = async (dataDirectory: string): Promise<Postmaster | undefined> => {
  const text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), ready: lines[7]?.trim() === 'ready' };
};

/**
 * Whether the process is the PostgreSQL server of that data directory. Its number may belong to another
 * program by now.
 */
export const isServerOf = async (pid: number, dataDirectory: string): Promise<boolean> => {
  const command = await commandOf(pid);
  const rest = command.split(/[\0 ]-D[\0 ]/)[1];
  return (
    command.includes('postgres') &&
    rest !== undefined &&
    /^[\0 ]?$/.test(rest.charAt(dataDirectory.length)) &&
    rest.startsWith(dataDirectory)
  );
};

/** Returns the command line of a process, or `''` if there is no such process. */
const commandOf = async (pid: number): Promise<string> => {
  if (process.platform === 'linux') {
    return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  }
  return promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).then(
    ({ stdout }) => stdout,
    () => '',
  );
};

const fastShutdownMs = 20_000;

/**
 * Stops the server by a fast shutdown, which ends all sessions, and waits until its process is gone. A server
 * that has not stopped after 20 seconds is stopped by an immediate shutdown; its next start then recovers.
 */
export const stopServer = async (dataDirectory: string, pid: number): Promise<void> => {
  const startedAt = Date.now();
  let sent: NodeJS.Signals | undefined;
  while (await isServerOf(pid, dataDirectory)) {
    const signal = Date.now() - startedAt < fastShutdownMs ? 'SIGINT' : 'SIGQUIT';
    try {
      if (signal !== sent) process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    sent = signal;
    await delay(10);
  }
};

/**
 * Resolves when a process that is not a child of ours is gone. Checks twice a second; the timer is
 * unreferenced.
 */
export const whenGone = (pid: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setInterval(() => {
      try {
        process.kill(pid, 0);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EPERM') return;
        clearInterval(timer);
        resolve();
      }
    }, 500).unref();
  });
