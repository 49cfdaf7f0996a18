import { execFileSync } from 'node:child_process';
import { openSync, closeSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cannotBeWritten, ensureFolder } from './folder.mjs';
import { BootstrapError } from './run.mjs';

/** How long a lock may be without its holder's name: between making the file and writing into it. */
const unnamedMs = 2_000;

/**
 * Takes a lock that belongs to one living process: a file with the holder's number, the time it was started (a number is
 * given to another process sooner or later) and what it does. One left behind by a killed process is taken over.
 * Answers `release`, or the `holder` that has it. Both ends must be on one machine.
 * @param {string} path
 * @param {string} purpose
 * @returns {Promise<{ release: () => void, holder?: undefined } | { release?: undefined, holder: { pid: number, purpose: string } }>}
 */
export const takeLock = async (path, purpose) => {
  ensureFolder(dirname(path));
  const started = startOf(process.pid);
  if (started === undefined) {
    throw new BootstrapError('This needs /proc (on Linux) or ps, to tell a living process from a dead one.');
  }
  const own = JSON.stringify({ pid: process.pid, started, purpose });
  for (;;) {
    try {
      const file = openSync(path, 'wx', 0o600);
      try {
        writeSync(file, own);
      } catch (error) {
        rmSync(path, { force: true });
        throw error;
      } finally {
        closeSync(file);
      }
      return { release: () => releaseLock(path, own) };
    } catch (error) {
      if (error.code !== 'EEXIST') throw cannotBeWritten(path, error);
    }
    const text = read(path);
    const holder = parse(text);
    if (holder && holder.started === startOf(holder.pid)) return { holder };
    if (!holder && ageOf(path) < unnamedMs) await delay(50);
    else removeStale(path, text);
  }
};

/**
 * Waits for the lock as long as another holds it; `onWait` is called once, with the holder.
 * @param {string} path
 * @param {string} purpose
 * @param {(holder: { pid: number, purpose: string }) => void} onWait
 * @param {AbortSignal} signal
 * @returns {Promise<() => void>}
 */
export const waitForLock = async (path, purpose, onWait, signal) => {
  for (let told = false; ;) {
    const { release, holder } = await takeLock(path, purpose);
    if (release) return release;
    if (!told) onWait(holder);
    told = true;
    await delay(200, undefined, { signal });
  }
};

/** Two may find the same lock stale: only the one whose rename moved that very text has removed it. */
const removeStale = (path, text) => {
  const aside = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, aside);
    if (read(aside) === text) rmSync(aside);
    else renameSync(aside, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
};

const releaseLock = (path, own) => {
  if (read(path) === own) rmSync(path, { force: true });
};

const read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** The holder; undefined where the text names none, so that nobody holds it for ever. */
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

/** When a process was started, as the system tells it; undefined when there is none of that number. */
const startOf = (pid) => {
  try {
    if (process.platform !== 'linux') {
      return (
        execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
      );
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the name, which is in parentheses and may hold anything, comes field 3; the start is field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : `${bootId()}:${fields[19]}`;
  } catch {
    return undefined;
  }
};

const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
