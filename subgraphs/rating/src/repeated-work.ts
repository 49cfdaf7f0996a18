import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { createWakeUp } from '@cinegraph/service/wake-up';

/** Covers work that another process stored, and work that becomes due later. */
const pollMs = 30_000;

/** After a failure, the work is tried again soon. */
const retryMs = 1_000;

/** A part that does stored work. */
export interface RepeatedWork extends Part {
  /** Looks for work at once. Call it when work was committed. */
  readonly wake: () => void;
}

/**
 * Creates a part that looks for work at its start, when it is woken up, and every 30 seconds. `work` does all
 * that there is, and ends early when its signal is aborted. If it fails, this is logged, and it is called
 * again a second later.
 */
export const createRepeatedWork = (
  name: string,
  logger: Logger,
  work: (signal: AbortSignal) => Promise<void>,
): RepeatedWork => {
  const stop = new AbortController();
  const wakeUp = createWakeUp();
  let running = Promise.resolve();
  const run = async () => {
    while (!stop.signal.aborted) {
      // Before the work: it may have read its table already when the signal comes.
      wakeUp.reset();
      let waitMs = pollMs;
      try {
        await work(stop.signal);
      } catch (error) {
        logger.warn({ err: error }, `${name} failed; it is tried again`);
        waitMs = retryMs;
      }
      await wakeUp.wait(waitMs);
    }
  };
  return {
    name,
    wake: wakeUp.signal,
    start: async () => {
      running = run();
    },
    stop: async () => {
      stop.abort();
      wakeUp.signal();
      await running;
    },
  };
};
