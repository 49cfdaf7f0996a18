import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';

const pollMs = 1_000;

/**
 * Creates a part that looks for work each second. `work` does all that there is, and ends early when its
 * signal is aborted. If it fails, this is logged, and it is called again a second later.
 */
export const createRepeatedWork = (
  name: string,
  logger: Logger,
  work: (signal: AbortSignal) => Promise<void>,
): Part => {
  const stop = new AbortController();
  let running = Promise.resolve();
  const run = async () => {
    while (!stop.signal.aborted) {
      try {
        await work(stop.signal);
      } catch (error) {
        logger.warn({ err: error }, `${name} failed; it is tried again`);
      }
      await delay(pollMs, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
    }
  };
  return {
    name,
    start: async () => {
      running = run();
    },
    stop: async () => {
      stop.abort();
      await running;
    },
  };
};
