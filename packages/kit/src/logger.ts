import { pino, stdSerializers, type Logger } from 'pino';

export type { Logger };

/** JSON lines on standard output, one a fact; `name` is the service. Secrets and tokens never go into a line. */
export const createLogger = (options: { name: string; level: string }): Logger =>
  pino({
    name: options.name,
    level: options.level,
    base: { pid: process.pid },
    serializers: { err: stdSerializers.errWithCause },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  });
