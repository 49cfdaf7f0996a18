import { printable } from '@cinegraph/service/terminal';

/** Says something to the person, as a line of its own. */
export const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Levels of a service's log lines that end it or are asked for when it ended. */
const failures: ReadonlySet<string> = new Set(['error', 'fatal']);

/** A line that a service wrote: how it is shown, and whether it tells of a failure. */
export interface ServiceLine {
  readonly shown: string;
  readonly message: string;
  readonly failure: boolean;
}

/**
 * Makes a service's line short: of a JSON log line the level, the message and the error's message; other lines as they
 * are. Control characters are shown as escapes, because what came from outside may be in it.
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
