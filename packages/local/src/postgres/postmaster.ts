import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** What a PostgreSQL server writes about itself into its data folder. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** Reads `postmaster.pid` of a data folder; `undefined` when there is none or it says nothing. */
export const readPostmaster = async (data: string): Promise<Postmaster | undefined> => {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), ready: lines[7]?.trim() === 'ready' };
};

/** Whether that process is a PostgreSQL server on that data folder, and not another that got its number since. */
export const isServerOf = async (pid: number, data: string): Promise<boolean> => {
  const command = await commandOf(pid);
  const rest = command.split(/[\0 ]-D[\0 ]/)[1];
  return (
    command.includes('postgres') &&
    rest !== undefined &&
    /^[\0 ]?$/.test(rest.charAt(data.length)) &&
    rest.startsWith(data)
  );
};

/** The words a process was started with, `''` when there is no such process. */
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
 * Ends the server by a fast shutdown (sessions are ended, all that was committed is on disk) and waits until it is gone.
 * One that hangs is ended at once; its next start then recovers.
 */
export const stopServer = async (data: string, pid: number): Promise<void> => {
  const began = Date.now();
  let asked: NodeJS.Signals | undefined;
  while (await isServerOf(pid, data)) {
    const signal = Date.now() - began < fastShutdownMs ? 'SIGINT' : 'SIGQUIT';
    try {
      if (signal !== asked) process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    asked = signal;
    await delay(10);
  }
};

/** Resolves when a process that we did not start is gone; looks twice a second, and keeps no process alive for that. */
export const goneWithoutUs = (pid: number): Promise<void> =>
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
