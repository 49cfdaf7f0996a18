import { backoffMs } from './backoff.js';
import type { Logger } from './logger.js';

/**
 * Creates the log of a dependency that is retried. It logs `unavailable` once when an outage begins and
 * `available` once when it is over, no matter how many attempts fail in between.
 */
export const createOutage = (logger: Logger, unavailable: string, available: string) => {
  let since: number | undefined;
  let failures = 0;
  return {
    /**
     * Records a failed attempt. Returns how many milliseconds to wait before the next one: 100, doubled up to
     * 5,000.
     */
    failed: (error: unknown): number => {
      if (since === undefined) {
        since = performance.now();
        logger.warn({ err: error }, unavailable);
      }
      failures += 1;
      return backoffMs(failures - 1, { longestMs: 5_000 });
    },
    /** Records a successful attempt. */
    over: (): void => {
      if (since === undefined) return;
      logger.info({ seconds: Math.round((performance.now() - since) / 1_000) }, available);
      since = undefined;
      failures = 0;
    },
  };
};
