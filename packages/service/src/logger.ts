import { pino, stdSerializers, type Logger } from 'pino';
import { tracing } from './telemetry/tracing.js';

export type { Logger };

/**
 * JSON lines on standard output, one a fact; `name` is the service. Secrets and tokens never go into a line, nor does what
 * a database says of the row that an error (under `err`) is about. While the process is traced, a line written for a
 * request carries `trace_id` and `span_id`.
 */
export const createLogger = (options: { name: string; level: string }): Logger => {
  const { ids } = tracing() ?? {};
  return pino({
    name: options.name,
    level: options.level,
    base: { pid: process.pid },
    serializers: { err: (error: Error) => withoutRows(stdSerializers.errWithCause(error), new Set()) },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    ...(ids && { mixin: () => ids() ?? {} }),
  });
};

/** The fields of an error of PostgreSQL that may quote a row, a key, a line of a COPY or the values of a statement. */
const quoting: ReadonlySet<string> = new Set(['detail', 'where', 'internalQuery', 'parameters']);

/**
 * A copy of a serialized error without those fields, also of the errors within it, wherever a wrapper keeps them. What is
 * ten levels deep or stands there twice is left out: a log line has an end.
 */
const withoutRows = (value: unknown, seen: Set<object>, depth = 0): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  if (seen.has(value) || depth >= 10) return '[left out]';
  seen.add(value);
  const inner = (one: unknown) => withoutRows(one, seen, depth + 1);
  if (Array.isArray(value)) return value.map(inner);
  const kept = Object.entries(value).filter(([name]) => !quoting.has(name));
  return Object.fromEntries(kept.map(([name, one]) => [name, inner(one)]));
};
