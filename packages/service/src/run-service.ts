import type { Logger } from './logger.js';
import type { RunningService } from './parts.js';
import { StartError } from './start-error.js';
import { tracing } from './telemetry/tracing.js';

/** The message that a service sends to its parent process, if it has one. */
export interface ReadyMessage {
  readonly type: 'ready';
  readonly url: string;
  /** How long the service may take to stop, in milliseconds. */
  readonly drainMs: number;
}

/**
 * Runs a service from its start to the exit of the process. The service is stopped on SIGINT, on SIGTERM, and
 * when the parent process that started it over IPC is gone. Further signals are ignored, because npm forwards
 * each one twice.
 *
 * The exit code is 0 if the service stopped within `drainMs`, by default 10 seconds. It is 1 if the start
 * failed, on an uncaught exception, and if `drainMs` ran out.
 */
export const runService = async (options: {
  start: () => Promise<RunningService & { url: string; logger: Logger; drainMs?: number }>;
}): Promise<void> => {
  const { start } = options;
  let stopRequested = false;
  let leave = (_why: string): void => {
    stopRequested = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => leave(signal));
  process.on('disconnect', () => leave('the parent process is gone'));
  // The parent may have exited while this process was still loading.
  if (process.send && !process.connected) stopRequested = true;
  try {
    const service = await start();
    const { drainMs = 10_000 } = service;
    const end = async (why: string, code: number) => {
      leave = () => undefined;
      service.logger.info({ why }, 'stopping');
      const timer = setTimeout(() => {
        service.logger.error({ drainMs }, 'the work under way did not finish in time');
        process.exit(1);
      }, drainMs);
      await service.stop();
      clearTimeout(timer);
      await tracing()?.stop();
      service.logger.info('stopped');
      process.exit(code);
    };
    leave = (why) => void end(why, 0);
    process.on('uncaughtException', (error) => {
      service.logger.fatal({ err: error }, 'uncaught exception');
      void end('uncaught exception', 1);
    });
    service.logger.info({ url: service.url }, 'ready');
    process.send?.({ type: 'ready', url: service.url, drainMs } satisfies ReadyMessage);
    if (stopRequested) leave('a stop was requested during the start');
  } catch (error) {
    process.stderr.write(
      error instanceof StartError
        ? `${error.message}\n`
        : `The service could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  }
};
