import { readFileSync, readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/** Returns the folder of the current thread in /proc, or undefined on a system that has none. */
export const folderOfThread = (): string | undefined => {
  try {
    return `/proc/${readlinkSync('/proc/thread-self')}`;
  } catch {
    return undefined; // Only Linux has it.
  }
};

/**
 * Sets the priority of a thread, as `nice` counts: beside one busy thread of priority 0, a thread of priority
 * 5 gets a quarter of a processor, and one of 15 gets a thirtieth. Where processors are free, it makes no
 * difference. On systems other than Linux, a priority belongs to the whole process, and nothing changes.
 */
export const setThreadPriority = (folder: string | undefined, priority: number): void => {
  if (folder === undefined) return;
  try {
    setPriority(Number(basename(folder)), priority);
  } catch {
    // The system does not permit it.
  }
};

/**
 * Returns a clock of the processor time in ms that a thread of this process has used, by its folder in /proc.
 * Where the system does not report it, the clock is that of the wall.
 */
export const threadClock =
  (folder: string | undefined): (() => number) =>
  () => {
    if (folder === undefined) return performance.now();
    try {
      // "<ns on a processor> <ns waiting for one> <time slices>"
      return Number.parseInt(readFileSync(`${folder}/schedstat`, 'latin1'), 10) / 1e6;
    } catch {
      return performance.now(); // The kernel keeps no statistics, or the thread has ended.
    }
  };
