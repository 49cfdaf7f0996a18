import { printable } from '@cinegraph/service/terminal';

/** The levels of log lines that may say why a service ended. */
const failures: ReadonlySet<string> = new Set(['error', 'fatal']);

/** A line that a service wrote: how to show it, its message, and whether it reports a failure. */
export interface ServiceLine {
  readonly shown: string;
  readonly message: string;
  readonly failure: boolean;
}

/**
 * Shortens a line of a service: a JSON log line to its level, its message and the message of its error; any
 * other line stays as it is. Control characters become escapes, because the line may contain text from
 * outside.
 */
export const readServiceLine = (name: string, line: string): ServiceLine => {
  const { level, text } = parseLogLine(line) ?? { level: '', text: line };
  const message = printable(text);
  return {
    shown: [name.padEnd(9), level.toUpperCase().padEnd(5), message].join(' '),
    message,
    failure: failures.has(level) || level === '',
  };
};

const parseLogLine = (line: string): { level: string; text: string } | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: unknown;
      msg?: unknown;
      err?: { message?: unknown };
    };
    if (typeof level !== 'string' || typeof msg !== 'string') return undefined;
    const reason = typeof err?.message === 'string' ? err.message : undefined;
    return { level, text: reason === undefined || reason === msg ? msg : `${msg}: ${reason}` };
  } catch {
    return undefined;
  }
};
