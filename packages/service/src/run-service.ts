import type { Logger } from './logger.js';
import type { RunningService } from './parts.js';
import { StartError } from './start-error.js';
import { tracing } from './telemetry/tracing.js';

/** What a service tells the process that started it, where there is one. */
export interface ReadyMessage {
  readonly type: 'ready';
  readonly url: string;
  /** How long its stop may take, in milliseconds. */
  readonly drainMs: number;
}

/**
 * Runs a process of ours from its first line to its exit code. The service stops by itself on SIGINT, SIGTERM and when
 * the process that started it over IPC is gone; a second signal changes nothing (npm hands each signal on twice).
 * Exit code 0 after a drain in time; 1 when the start failed (one sentence), on a bug, or when the started service's
 * `drainMs` (10 seconds unless it says otherwise) ran out.
 */
export const runService = async (options: {
  start: () => Promise<RunningService & { url: string; logger: Logger; drainMs?: number }>;
}): Promise<void> => {
  const { start } = options;
  let wanted = true;
  let leave = (_why: string): void => {
    wanted = false;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => leave(signal));
  process.on('disconnect', () => leave('the starting process is gone'));
  // It may have gone while this process was still loading.
  if (process.send && !process.connected) wanted = false;
  try {
    const service = await start();
    const { drainMs = 10_000 } = service;
    const end = async (why: string, code: number) => {
      leave = () => undefined;
      service.logger.info({ why }, 'stopping');
      const timer = setTimeout(() => {
        service.logger.error({ drainMs }, 'work under way did not end in time');
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
    if (!wanted) leave('asked to stop while starting');
  } catch (error) {
    process.stderr.write(
      error instanceof StartError
        ? `${error.message}\n`
        : `The service could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  }
};
