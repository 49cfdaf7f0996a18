/** Returns untrusted text in a form that is safe on a terminal: control characters become escapes. */
export const printable = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );

/** Writes a line to standard output, for the person who runs a command. */
export const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The exit code that a shell shows for a process that SIGPIPE ended: 128 + 13. */
export const brokenPipeCode = 141;

/**
 * Ends this process quietly when it writes to a standard output that nobody reads any more, such as that of
 * `… | head`. Node ignores SIGPIPE and would print a stack trace. A lost standard error does not end it.
 */
export const endOnBrokenPipe = (): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(brokenPipeCode);
  });
  process.stderr.on('error', () => undefined);
};

/** Returns the message of whatever was thrown. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A table for a terminal: headings, and rows of as many cells. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Formats tables with columns as wide as their widest cells and an empty line between two tables. */
export const formatTables = (tables: readonly Table[]): string => tables.map(formatTable).join('\n');

const formatTable = ({ head, rows }: Table): string => {
  const lines = [head, ...(rows.length > 0 ? rows : [['none']])];
  const widths = head.map((_cell, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
};
