import { StartError } from '@cinegraph/service/start-error';
import { parse } from 'csv-parse/sync';
import { readLines, type TextRecord } from './lines.js';
import type { Source } from './source.js';

/** A row of a table. Its cells are in the order of the requested columns. */
export type Row =
  | {
      readonly line: number;
      readonly cells: readonly string[];
      readonly text: string;
      readonly fault?: undefined;
    }
  | { readonly line: number; readonly text: string; readonly fault: string };

/**
 * Yields the rows of a text table whose first line names its columns. The columns may be in any order, and
 * others may be between them. With `,` the table is CSV as in RFC 4180, but a record is always one line, so
 * that a quote which is never closed costs only one row. With a tab there are no quotes. Throws a StartError
 * if a column is missing. A row with another number of cells has a fault.
 */
export const readTable = async function* (
  source: Pick<Source, 'name' | 'chunks'>,
  columns: readonly string[] | ((header: readonly string[]) => readonly string[]),
  separator: ',' | '\t' = ',',
): AsyncGenerator<readonly Row[]> {
  let indexes: readonly number[] | undefined;
  let width = 0;
  for await (const lines of readLines(source.chunks)) {
    const rows: Row[] = [];
    for (const record of lines) {
      if (indexes === undefined) {
        const header = headerOf(source.name, record, separator);
        width = header.length;
        indexes = indexesOf(source.name, header, typeof columns === 'function' ? columns(header) : columns);
      } else {
        rows.push(rowOf(record, separator, indexes, width));
      }
    }
    yield rows;
  }
  if (indexes === undefined) throw new StartError(`${source.name} is empty.`);
};

const headerOf = (
  name: string,
  { line, text, fault }: TextRecord,
  separator: ',' | '\t',
): readonly string[] => {
  if (fault !== undefined)
    throw new StartError(`${name} is not a text table in UTF-8: in line ${line}, ${fault}.`);
  const header = split(text, separator);
  if (typeof header === 'string')
    throw new StartError(`The first line of ${name} names no columns: ${header}.`);
  return header.map((column) => column.trim());
};

const indexesOf = (name: string, header: readonly string[], columns: readonly string[]): readonly number[] =>
  columns.map((column) => {
    const index = header.indexOf(column);
    if (index !== -1) return index;
    throw new StartError(
      `${name} has no column "${column}". Its first line names: ${header.join(', ').slice(0, 200)}.`,
    );
  });

const rowOf = (record: TextRecord, separator: ',' | '\t', indexes: readonly number[], width: number): Row => {
  if (record.fault !== undefined) return record;
  const { line, text } = record;
  const cells = split(text, separator);
  if (typeof cells === 'string') return { line, text, fault: cells };
  if (cells.length !== width)
    return { line, text, fault: `it has ${cells.length} columns instead of ${width}` };
  return { line, text, cells: indexes.map((index) => cells[index] ?? '') };
};

/**
 * Returns the cells of a line, or why it has none. A line without a quote, as nearly all are, needs no
 * parser.
 */
const split = (text: string, separator: ',' | '\t'): readonly string[] | string => {
  if (separator === '\t' || !text.includes('"')) return text.split(separator);
  try {
    return parse(text)[0] ?? [];
  } catch {
    return 'its quotes are not in pairs';
  }
};
