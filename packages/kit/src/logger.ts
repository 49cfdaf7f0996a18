import { pino, stdSerializers, type Logger } from 'pino';
import { tracing } from './tracing.js';

export type { Logger };

/**
 * JSON lines on standard output, one a fact; `name` is the service. Secrets and tokens never go into a line. While the
 * process is traced, a line written for a request carries `trace_id` and `span_id`.
 */
export const createLogger = (options: { name: string; level: string }): Logger => {
  const { ids } = tracing() ?? {};
  return pino({
    name: options.name,
    level: options.level,
    base: { pid: process.pid },
    serializers: { err: stdSerializers.errWithCause },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    ...(ids && { mixin: () => ids() ?? {} }),
  });
};
