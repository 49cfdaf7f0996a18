import { backoffMs } from '@cinegraph/service/backoff';
import type { TimeLimit } from '../request/context.js';

/** Decides which failed fetches of one subgraph are sent again. */
export interface RetryBudget {
  /** Counts a fetch that is sent for the first time. */
  earn(): void;
  /**
   * Waits until a failed query may be sent again. Resolves to false at once if the budget is empty or the
   * deadline comes first, and as soon as the fetch is aborted.
   */
  spend(deadline: TimeLimit): Promise<boolean>;
}

/** Retries for each fetch: Envoy's default `retry_budget.budget_percent` is 20 %. */
const retriesPerFetch = 0.2;

/** Retries that can be saved: those of fifty fetches, so that a burst of failures costs little more. */
const maxSaved = 10;

/** The delay before a retry, of which a random part of up to one half is subtracted. */
const delayMs = 50;

/**
 * Creates a budget, empty. Fetches earn retries, and each retry spends one: however much fails, a subgraph
 * receives at most a fifth more than it is asked.
 */
export const createRetryBudget = (): RetryBudget => {
  let saved = 0;
  return {
    earn: () => {
      saved = Math.min(maxSaved, saved + retriesPerFetch);
    },
    spend: async (deadline) => {
      const ms = backoffMs(0, { firstMs: delayMs });
      if (saved < 1 || performance.now() + ms >= deadline.dueAtMs) return false;
      saved -= 1;
      await new Promise<void>((resolve) => {
        const stop = (): void => {
          clearTimeout(timer);
          deadline.offAbort(stop);
          resolve();
        };
        const timer = setTimeout(stop, ms);
        deadline.onAbort(stop);
      });
      return deadline.aborted === undefined;
    },
  };
};

const retriedStatuses: ReadonlySet<number> = new Set([502, 503, 504]);

/** Returns true for an HTTP status with which a proxy or a server says that it cannot serve just now. */
export const isRetriedStatus = (status: number): boolean => retriedStatuses.has(status);
