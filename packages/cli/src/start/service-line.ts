import { printable } from '@cinegraph/service/terminal';

/** The levels of log lines that may say why a service ended. */
const failures: ReadonlySet<string> = new Set(['error', 'fatal']);

/** Fields that are shown elsewhere in the line, or mean nothing on one machine. */
const hiddenFields: ReadonlySet<string> = new Set([
  ...['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err', 'part', 'kafkajs', 'stack'],
  ...['trace_id', 'span_id', 'trace_flags'],
]);

const longestValue = 120;

/** A line that a service wrote: how to show it, its message, and whether it reports a failure. */
export interface ServiceLine {
  readonly shown: string;
  readonly message: string;
  readonly failure: boolean;
  /** Equal for two lines that report the same, at different times or with different numbers. */
  readonly kind: string;
}

/**
 * Shortens a line of a service: a JSON log line to its time, its level, its message with the message and the
 * code of its error, and its other fields; any other line stays as it is. Control characters become escapes,
 * because the line may contain text from outside.
 */
export const readServiceLine = (name: string, line: string): ServiceLine => {
  const { level, time, text, fields } = parseLogLine(line) ?? { level: '', time: '', text: line, fields: '' };
  const message = printable(text);
  return {
    shown: [time.padEnd(8), name.padEnd(9), level.toUpperCase().padEnd(5), message + printable(fields)].join(
      ' ',
    ),
    message,
    failure: failures.has(level) || level === '',
    kind: `${level} ${message}`,
  };
};

const parseLogLine = (line: string) => {
  if (!line.startsWith('{')) return undefined;
  try {
    const record = JSON.parse(line) as Record<string, unknown>;
    const { level, msg, time } = record;
    if (typeof level !== 'string' || typeof msg !== 'string') return undefined;
    const { message, code } = (record['err'] ?? {}) as { message?: unknown; code?: unknown };
    const reason = typeof message === 'string' && message !== msg ? `: ${message}` : '';
    const fields = Object.entries<unknown>({ ...(typeof code === 'string' && { code }), ...record })
      .filter(([name, value]) => !hiddenFields.has(name) && value !== null)
      .map(
        ([name, value]) => `${name}=${shorten(typeof value === 'string' ? value : JSON.stringify(value))}`,
      );
    return {
      level,
      time: typeof time === 'string' ? new Date(time).toTimeString().slice(0, 8) : '',
      text: `${msg}${reason}`,
      fields: fields.length > 0 ? ` (${fields.join(', ')})` : '',
    };
  } catch {
    return undefined;
  }
};

const shorten = (text: string): string =>
  text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;

/**
 * Returns a function that writes the lines of one service, each kind of warning or failure at most once in
 * `repeatAfterMs`. Those that were left out are counted, and the count is written at the end of that time.
 * `write` gets each line to show.
 */
export const createServiceConsole = (write: (line: string) => void, repeatAfterMs = 10_000) => {
  const repeated = new Map<string, { count: number; last: string }>();
  return ({ kind, shown }: ServiceLine): void => {
    const seen = repeated.get(kind);
    if (seen) {
      seen.count += 1;
      seen.last = shown;
      return;
    }
    write(shown);
    if (!/^(warn|error|fatal) /.test(kind)) return;
    const entry = { count: 0, last: shown };
    repeated.set(kind, entry);
    setTimeout(() => {
      repeated.delete(kind);
      if (entry.count > 0) write(`${entry.last} [${entry.count} more in ${repeatAfterMs / 1000} s]`);
    }, repeatAfterMs).unref();
  };
};
