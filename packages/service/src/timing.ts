import { setTimeout as delay } from 'node:timers/promises';

/** Waits for `ms` milliseconds, or until the signal is aborted. Never rejects. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  delay(ms, undefined, { ...(signal && { signal }) }).catch(() => undefined);

/** Waits until `work` has settled, but at most `ms` milliseconds. Never rejects. */
export const waitAtMost = async (work: Promise<unknown> | undefined, ms: number): Promise<void> => {
  const over = new AbortController();
  await Promise.race([work?.catch(() => undefined), pause(ms, over.signal)]);
  over.abort();
};

/**
 * Returns the result of `work`. Rejects with an error that names `what` after `ms` milliseconds; `work` goes
 * on.
 */
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
