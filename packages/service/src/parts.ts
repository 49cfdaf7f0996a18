import type { Logger } from './logger.js';

/** One thing a service consists of. `stop` finishes what is under way, and is called only after `start` succeeded. */
export interface Part {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A started service: `stop` ends its parts in reverse order, once; later calls wait for the first. */
export interface RunningService {
  readonly stop: () => Promise<void>;
}

/**
 * Starts the parts in order. If one fails, those already started are stopped in reverse and the error is thrown.
 * A part that fails to stop is logged and does not keep the others from stopping.
 */
export const startParts = async (parts: readonly Part[], logger: Logger): Promise<RunningService> => {
  const started: Part[] = [];
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    for (const part of started.reverse()) {
      try {
        await part.stop();
      } catch (error) {
        logger.error({ err: error, part: part.name }, 'a part failed to stop');
      }
    }
  };
  const running = { stop: () => (stopping ??= stop()) };
  for (const part of parts) {
    try {
      await part.start();
    } catch (error) {
      await running.stop();
      throw error;
    }
    started.push(part);
  }
  return running;
};
