import type { Logger } from '@cinegraph/service/logger';
import type { Planner } from './planner.js';

/**
 * Plans with `next` the operations that `previous` planned and that are used most, so that they are known
 * when the supergraph of `next` goes live. It ends after `count` operations, or after `maxMs`. An operation
 * that `next` cannot plan is left out: it fails when a client sends it.
 */
export const warmUp = async (options: {
  previous: Planner;
  next: Planner;
  logger: Logger;
  count?: number;
  maxMs?: number;
}): Promise<void> => {
  const { previous, next, logger, count = 500, maxMs = 5_000 } = options;
  const began = performance.now();
  let planned = 0;
  let failed = 0;
  // One after the other, so that the operations of clients never wait for more than one of them.
  for (const operation of previous.mostUsed(count)) {
    if (performance.now() - began > maxMs) break;
    try {
      await next.plan(operation);
      planned++;
    } catch {
      failed++;
    }
  }
  logger.info({ planned, failed, ms: Math.round(performance.now() - began) }, 'warmed up the plans');
};
