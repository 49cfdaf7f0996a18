import type { Logger } from './logger.js';

/** A part of a service. `stop` finishes the work under way; it is called only if `start` has succeeded. */
export interface Part {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A started service. `stop` stops its parts once, in reverse order; later calls wait for the first. */
export interface RunningService {
  readonly stop: () => Promise<void>;
}

/**
 * Starts the parts in order. If one fails, the parts that have started are stopped in reverse order and the
 * error is thrown. If a part fails to stop, this is logged and the others are still stopped.
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
