import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './logger.js';

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** Waits so long, or until the signal is aborted; never rejects. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  delay(ms, undefined, { ...(signal && { signal }) }).catch(() => undefined);

/** Waits for what is under way, but no longer than so many milliseconds; never rejects. */
export const waitAtMost = async (work: Promise<unknown> | undefined, ms: number): Promise<void> => {
  const over = new AbortController();
  await Promise.race([work?.catch(() => undefined), pause(ms, over.signal)]);
  over.abort();
};

/** Resolves with `work`, or rejects with `what` once the time is over; the work goes on then. */
export const within = async <Result>(ms: number, what: string, work: Promise<Result>): Promise<Result> => {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${Math.round(ms)} ms`)), ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
};

/** Something that is away now and then: said once when it goes and once when it is back, however often it is tried. */
export const createOutage = (logger: Logger, away: string, back: string) => {
  let since: number | undefined;
  let attempts = 0;
  return {
    /** Answers how long to wait before the next attempt: 0.1 s, then twice as long each time to 5 s, less up to a half. */
    failed: (error: unknown): number => {
      if (since === undefined) {
        since = performance.now();
        logger.warn({ err: error }, away);
      }
      const longest = Math.min(firstPauseMs * 2 ** attempts, longestPauseMs);
      attempts += 1;
      return longest * (0.5 + Math.random() / 2);
    },
    over: (): void => {
      if (since === undefined) return;
      logger.info({ seconds: Math.round((performance.now() - since) / 1_000) }, back);
      since = undefined;
      attempts = 0;
    },
  };
};

/** A bell that one waits for, and that others ring; ringing is remembered until it is reset. */
export const createBell = () => {
  let rung = false;
  let hear = (): void => undefined;
  return {
    reset: (): void => {
      rung = false;
    },
    ring: (): void => {
      rung = true;
      hear();
    },
    /** Resolves when it rings, at once when it has rung since the reset, and after so many milliseconds in any case. */
    heard: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, rung ? 0 : ms);
        hear = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
};
