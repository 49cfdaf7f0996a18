import { pino, stdSerializers, type Logger } from 'pino';
import { tracing } from './telemetry/tracing.js';

export type { Logger };

/**
 * Creates a logger that writes JSON lines to standard output; `name` is the service. An error belongs under
 * the key `err`: the fields in which PostgreSQL quotes rows or parameters are removed from it. While the
 * process is traced, a line that is written during a request has `trace_id` and `span_id`. Callers must not
 * log secrets.
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

/** Fields of a PostgreSQL error that may quote a row, a key, a line of a COPY or a statement's parameters. */
const quotingFields: ReadonlySet<string> = new Set(['detail', 'where', 'internalQuery', 'parameters']);

/**
 * Returns a copy of a serialized error without those fields, also without those of the errors nested in it.
 * Values that repeat, or are more than ten levels deep, are omitted to bound the log line.
 */
const withoutRows = (value: unknown, seen: Set<object>, depth = 0): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  if (seen.has(value) || depth >= 10) return '[left out]';
  seen.add(value);
  const inner = (one: unknown) => withoutRows(one, seen, depth + 1);
  if (Array.isArray(value)) return value.map(inner);
  const kept = Object.entries(value).filter(([name]) => !quotingFields.has(name));
  return Object.fromEntries(kept.map(([name, one]) => [name, inner(one)]));
};
