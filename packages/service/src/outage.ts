import type { Logger } from './logger.js';

const firstPauseMs = 100;
const longestPauseMs = 5_000;

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
