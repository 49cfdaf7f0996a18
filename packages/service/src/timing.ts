import { setTimeout as delay } from 'node:timers/promises';

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
