import { StartError } from '@cinegraph/service/start-error';
import { parse } from 'csv-parse/sync';
import { columnsMissing } from './columns.js';
import { defaultMaxBytes, readLines, type TextRecord } from './lines.js';
import type { Source } from './source.js';

/** A row of a table. Its cells are in the order of the requested columns. `line` is its first line. */
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
 * others may be between them. With `,` the table is CSV as in RFC 4180, and a quoted cell may have line
 * breaks. With a tab there are no quotes, and a row is one line. Throws a StartError that names all missing
 * columns. A row with another number of cells has a fault.
 */
export const readTable = async function* (
  source: Pick<Source, 'name' | 'chunks'>,
  columns: readonly string[] | ((header: readonly string[]) => readonly string[]),
  separator: ',' | '\t' = ',',
): AsyncGenerator<readonly Row[]> {
  let rows: ReturnType<typeof openRows> | undefined;
  for await (const lines of readLines(source.chunks)) {
    const batch: Row[] = [];
    for (const record of lines) {
      if (rows) rows.add(record, batch);
      else {
        const header = headerOf(source.name, record, separator);
        const requested = typeof columns === 'function' ? columns(header) : columns;
        rows = openRows({
          separator,
          indexes: indexesOf(source.name, header, requested),
          width: header.length,
        });
      }
    }
    yield batch;
  }
  if (!rows) throw new StartError(`${source.name} is empty.`);
  const batch: Row[] = [];
  rows.end(batch);
  if (batch.length > 0) yield batch;
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

const indexesOf = (
  name: string,
  header: readonly string[],
  columns: readonly string[],
): readonly number[] => {
  const indexes = columns.map((column) => header.indexOf(column));
  if (indexes.includes(-1)) throw new StartError(columnsMissing(name, header, columns));
  return indexes;
};

interface Layout {
  readonly separator: ',' | '\t';
  readonly indexes: readonly number[];
  readonly width: number;
}

/** The maximum number of lines of one row. */
const maxLines = 1_000;

/**
 * Makes rows of lines. A line in which a quote is open waits for the line that closes it. If none does within
 * the limits, or the lines together are not a row, only the first of them is a row with a fault, and the
 * others are read again: a quote that is never closed costs one line.
 */
const openRows = (layout: Layout) => {
  let open: TextRecord[] = [];
  let quotes = 0;
  let bytes = 0;
  const add = (record: TextRecord, batch: Row[]): void => {
    // Nearly every line of millions ends here.
    const found = layout.separator === ',' ? countQuotes(record.text) : 0;
    if (open.length === 0 && found % 2 === 0) {
      batch.push(rowOf(record, layout));
      return;
    }
    open.push(record);
    quotes += found;
    bytes += record.text.length;
    const complete = quotes % 2 === 0;
    if (!complete && record.fault === undefined && open.length < maxLines && bytes < defaultMaxBytes) return;
    const row = complete ? rowOf(joined(open), layout) : undefined;
    if (row === undefined || row.fault !== undefined) giveUp(batch);
    else {
      batch.push(row);
      clear();
    }
  };
  const clear = () => {
    open = [];
    quotes = 0;
    bytes = 0;
  };
  const giveUp = (batch: Row[]): void => {
    const [first, ...others] = open;
    clear();
    if (first) batch.push(rowOf(first, layout));
    for (const record of others) add(record, batch);
  };
  return {
    add,
    /** Makes rows of the lines that still wait at the end of the table. */
    end: (batch: Row[]): void => {
      while (open.length > 0) giveUp(batch);
    },
  };
};

const countQuotes = (text: string): number => {
  let count = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) count += 1;
  return count;
};

/** Joins the lines of one row with line feeds. Empty lines, which `readLines` leaves out, are restored. */
const joined = (records: readonly TextRecord[]): TextRecord => {
  const faulty = records.find(({ fault }) => fault !== undefined);
  const [first] = records;
  if (faulty || !first) return faulty ?? { line: 0, text: '' };
  let text = '';
  let { line } = first;
  for (const record of records) {
    text += '\n'.repeat(record.line - line) + record.text;
    ({ line } = record);
  }
  return { line: first.line, text };
};

const rowOf = (record: TextRecord, { separator, indexes, width }: Layout): Row => {
  if (record.fault !== undefined) return record;
  const { line, text } = record;
  const cells = split(text, separator);
  if (typeof cells === 'string') return { line, text, fault: cells };
  if (cells.length !== width)
    return { line, text, fault: `it has ${cells.length} columns instead of ${width}` };
  return { line, text, cells: indexes.map((index) => cells[index] ?? '') };
};

/**
 * Returns the cells of a row, or why it has none. A row without a quote, as nearly all are, needs no parser.
 */
const split = (text: string, separator: ',' | '\t'): readonly string[] | string => {
  if (separator === '\t' || !text.includes('"')) return text.split(separator);
  try {
    const rows = parse(text);
    // Lines that together have paired quotes, but none of which is within one, are no row.
    return rows.length === 1 ? (rows[0] ?? []) : 'its quotes are not in pairs';
  } catch {
    return 'its quotes are not in pairs';
  }
};
