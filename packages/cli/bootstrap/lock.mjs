import { execFileSync } from 'node:child_process';
import { openSync, closeSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cannotBeCreated, ensureFolder } from './folder.mjs';
import { BootstrapError } from './run.mjs';

/** How long a lock file may be empty: the time between creating the file and writing the holder into it. */
const unnamedMs = 2_000;

/**
 * Takes a lock, and returns its `release`, or the `holder` if another process has it. The lock is a file with
 * the holder's process id, its start time (the system uses process ids again) and its purpose. The lock of a
 * process that no longer runs is taken over. All processes must run on one machine.
 * @param {string} path
 * @param {string} purpose
 * @returns {Promise<{ release?: () => void, holder?: { pid: number, purpose: string } }>}
 */
export const takeLock = async (path, purpose) => {
  ensureFolder(dirname(path));
  const started = startOf(process.pid);
  if (started === undefined) {
    throw new BootstrapError(
      'The start time of this process is unknown: /proc (on Linux) or the program ps is needed for it.',
    );
  }
  const content = JSON.stringify({ pid: process.pid, started, purpose });
  for (;;) {
    try {
      const file = openSync(path, 'wx', 0o600);
      try {
        writeSync(file, content);
      } catch (error) {
        rmSync(path, { force: true });
        throw error;
      } finally {
        closeSync(file);
      }
      return { release: () => releaseLock(path, content) };
    } catch (error) {
      if (error.code !== 'EEXIST') throw cannotBeCreated(path, error);
    }
    const text = read(path);
    const holder = parse(text);
    if (holder && holder.started === startOf(holder.pid)) return { holder };
    if (!holder && ageOf(path) < unnamedMs) await delay(50);
    else removeStale(path, text);
  }
};

/**
 * Waits until the lock is free, takes it and returns its `release`. If another process holds it, `onWait` is
 * called once with the holder. Rejects when `signal` is aborted.
 * @param {string} path
 * @param {string} purpose
 * @param {(holder: { pid: number, purpose: string }) => void} onWait
 * @param {AbortSignal} signal
 * @returns {Promise<() => void>}
 */
export const waitForLock = async (path, purpose, onWait, signal) => {
  for (let reported = false; ;) {
    const { release, holder } = await takeLock(path, purpose);
    if (release) return release;
    if (!reported) onWait(holder);
    reported = true;
    await delay(200, undefined, { signal });
  }
};

/**
 * Removes a stale lock. Two processes may find it stale at once; only the one that renamed this very content
 * removes it.
 */
const removeStale = (path, text) => {
  const moved = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, moved);
    if (read(moved) === text) rmSync(moved);
    else renameSync(moved, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
};

const releaseLock = (path, content) => {
  if (read(path) === content) rmSync(path, { force: true });
};

const read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Returns the holder, or undefined if the text names none: such a lock is taken over. */
const parse = (text) => {
  try {
    const { pid, started, purpose } = JSON.parse(text);
    return Number.isInteger(pid) && pid > 0 && typeof started === 'string'
      ? { pid, started, purpose: String(purpose) }
      : undefined;
  } catch {
    return undefined;
  }
};

const ageOf = (path) => {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return Infinity;
  }
};

/** Returns the start time of a process in the system's format, or undefined if no such process runs. */
const startOf = (pid) => {
  try {
    if (process.platform !== 'linux') {
      return (
        execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
      );
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the name in parentheses, which may contain anything. Field 3 follows it; the start time is
    // field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : `${bootId()}:${fields[19]}`;
  } catch {
    return undefined;
  }
};

const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
