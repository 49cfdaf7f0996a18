import { isUtf8 } from 'node:buffer';
import { parse } from 'csv-parse/sync';
import { StartError } from '@cinegraph/service/start-error';
import type { Source } from './source.js';

/** A record of a text and the line where it begins, counted from 1; `fault` says why it cannot be read. */
export type TextRecord =
  | { readonly line: number; readonly text: string; readonly fault?: undefined }
  | { readonly line: number; readonly text: string; readonly fault: string };

/** What a line, or an element of an array, may weigh unless told otherwise. */
const defaultMaxBytes = 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * The lines of a source in batches, in constant memory. Lines end with LF, CR LF or CR (whichever comes first). A line of
 * more than `maxBytes`, or that is not UTF-8, is one record with a fault; the lines behind it are read. Empty lines are
 * left out.
 */
export const readLines = async function* (
  chunks: AsyncIterable<Buffer>,
  maxBytes = defaultMaxBytes,
): AsyncGenerator<readonly TextRecord[]> {
  let end: number | undefined;
  let line = 0;
  // The beginning of a line whose end has not been read; empty and counted on while the line is too long.
  let open: Buffer[] = [];
  let openBytes = 0;

  const finish = (batch: TextRecord[], last: Buffer) => {
    line += 1;
    openBytes += last.length;
    if (openBytes > maxBytes) {
      batch.push({ line, text: '', fault: `the line has ${openBytes} bytes, more than ${maxBytes}` });
    } else {
      decode(batch, line, open.length === 0 ? last : Buffer.concat([...open, last]));
    }
    open = [];
    openBytes = 0;
  };
  const keep = (part: Buffer) => {
    openBytes += part.length;
    if (openBytes > maxBytes) open = [];
    else if (part.length > 0) open.push(Buffer.from(part));
  };

  let held: Buffer | undefined;
  for await (const next of chunks) {
    const chunk = held ? Buffer.concat([held, next]) : next;
    end ??= endOfLines(chunk);
    // A CR at the very end may be the first half of CR LF: the next chunk tells.
    held = end === undefined && chunk.at(-1) === carriageReturn ? Buffer.from(chunk) : undefined;
    if (held) continue;
    const batch: TextRecord[] = [];
    let from = 0;
    if (end !== undefined) {
      for (let at = chunk.indexOf(end); at !== -1; at = chunk.indexOf(end, from)) {
        finish(batch, chunk.subarray(from, at));
        from = at + 1;
      }
    }
    keep(chunk.subarray(from));
    if (batch.length > 0) yield batch;
  }
  if (held) keep(held);
  const batch: TextRecord[] = [];
  if (openBytes > 0) finish(batch, Buffer.alloc(0));
  if (batch.length > 0) yield batch;
};

/** LF where there is one, CR where lines end with that alone; undefined while no line has ended. */
const endOfLines = (chunk: Buffer): number | undefined => {
  if (chunk.includes(lineFeed)) return lineFeed;
  const at = chunk.indexOf(carriageReturn);
  return at === -1 || at === chunk.length - 1 ? undefined : carriageReturn;
};

const decode = (batch: TextRecord[], line: number, bytes: Buffer): void => {
  if (!isUtf8(bytes)) {
    batch.push({ line, text: bytes.toString('latin1'), fault: 'it is not UTF-8' });
    return;
  }
  let text = bytes.toString('utf8');
  if (line === 1 && text.startsWith('\uFEFF')) text = text.slice(1);
  if (text.endsWith('\r')) text = text.slice(0, -1);
  if (text.trim() !== '') batch.push({ line, text });
};

/** A row of a table: its cells in the order of the columns that were asked for. */
export type Row =
  | {
      readonly line: number;
      readonly cells: readonly string[];
      readonly text: string;
      readonly fault?: undefined;
    }
  | { readonly line: number; readonly text: string; readonly fault: string };

/**
 * The rows of a table of text whose first line names its columns, which may stand in any order, with others between.
 * `,` separates as RFC 4180 says, except that a record is one line, so that a quote which is never closed costs one row;
 * a tab separates without quotes. Missing columns are a StartError, a row with another number of cells has a fault.
 */
export const readTable = async function* (
  source: Pick<Source, 'name' | 'chunks'>,
  columns: readonly string[] | ((header: readonly string[]) => readonly string[]),
  separator: ',' | '\t' = ',',
): AsyncGenerator<readonly Row[]> {
  let places: readonly number[] | undefined;
  let width = 0;
  for await (const lines of readLines(source.chunks)) {
    const rows: Row[] = [];
    for (const record of lines) {
      if (places === undefined) {
        const header = headerOf(source.name, record, separator);
        width = header.length;
        places = placesOf(source.name, header, typeof columns === 'function' ? columns(header) : columns);
      } else {
        rows.push(rowOf(record, separator, places, width));
      }
    }
    yield rows;
  }
  if (places === undefined) throw new StartError(`${source.name} is empty.`);
};

const headerOf = (
  name: string,
  { line, text, fault }: TextRecord,
  separator: ',' | '\t',
): readonly string[] => {
  if (fault !== undefined)
    throw new StartError(`${name} is no table of text in UTF-8: of line ${line}, ${fault}.`);
  const header = split(text, separator);
  if (typeof header === 'string')
    throw new StartError(`The first line of ${name} names no columns: ${header}.`);
  return header.map((column) => column.trim());
};

const placesOf = (name: string, header: readonly string[], columns: readonly string[]): readonly number[] =>
  columns.map((column) => {
    const place = header.indexOf(column);
    if (place !== -1) return place;
    throw new StartError(
      `${name} has no column "${column}". Its first line names: ${header.join(', ').slice(0, 200)}.`,
    );
  });

const rowOf = (record: TextRecord, separator: ',' | '\t', places: readonly number[], width: number): Row => {
  if (record.fault !== undefined) return record;
  const { line, text } = record;
  const cells = split(text, separator);
  if (typeof cells === 'string') return { line, text, fault: cells };
  if (cells.length !== width)
    return { line, text, fault: `it has ${cells.length} columns instead of ${width}` };
  return { line, text, cells: places.map((place) => cells[place] ?? '') };
};

/** The cells of a line, or why there are none. A line without a quote, as nearly all are, needs no parser. */
const split = (text: string, separator: ',' | '\t'): readonly string[] | string => {
  if (separator === '\t' || !text.includes('"')) return text.split(separator);
  try {
    return parse(text)[0] ?? [];
  } catch {
    return 'its quotes are not in pairs';
  }
};

/**
 * The elements of a JSON array as texts, in constant memory however large the array is. An element of more than `maxBytes`
 * or that is not UTF-8 has a fault. An array that does not end, or has something behind it, is a StartError: it was cut.
 */
export const readArray = async function* (
  { name, chunks }: Pick<Source, 'name' | 'chunks'>,
  maxBytes = defaultMaxBytes,
): AsyncGenerator<readonly TextRecord[]> {
  const state = {
    line: 1,
    depth: 0,
    inText: false,
    escaped: false,
    begun: 1,
    bytes: 0,
    parts: [] as Buffer[],
  };
  let elements = 0;
  const keep = (part: Buffer) => {
    state.bytes += part.length;
    if (state.bytes > maxBytes) state.parts = [];
    else if (part.length > 0) state.parts.push(Buffer.from(part));
  };
  const finish = (batch: TextRecord[], isLast: boolean) => {
    const text = Buffer.concat(state.parts);
    const { begun: line, bytes } = state;
    state.parts = [];
    state.bytes = 0;
    if (bytes > maxBytes)
      batch.push({ line, text: '', fault: `the record has ${bytes} bytes, more than ${maxBytes}` });
    else if (!isUtf8(text)) batch.push({ line, text: text.toString('latin1'), fault: 'it is not UTF-8' });
    else if (!isLast || elements > 0 || text.toString().trim() !== '')
      batch.push({ line, text: text.toString() });
    elements += 1;
  };

  for await (const chunk of chunks) {
    const batch: TextRecord[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte === lineFeed) state.line += 1;
      if (state.inText) {
        if (state.escaped) state.escaped = false;
        else if (byte === 0x5c) state.escaped = true;
        else if (byte === 0x22) state.inText = false;
        continue;
      }
      if (byte === 0x22) state.inText = true;
      const opens = byte === 0x5b || byte === 0x7b;
      const closes = byte === 0x5d || byte === 0x7d;
      if (state.depth === 0) {
        if (opens && elements === 0) {
          state.depth = 1;
          from = at + 1;
          state.begun = state.line;
        } else if (elements > 0 && byte !== undefined && byte > 0x20) {
          throw new StartError(`${name} goes on behind the end of its array, in line ${state.line}.`);
        }
      } else if (opens) {
        state.depth += 1;
      } else if (closes) {
        state.depth -= 1;
      }
      if ((byte === 0x2c && state.depth === 1) || (closes && state.depth === 0 && from <= at)) {
        keep(chunk.subarray(from, at));
        finish(batch, closes);
        from = at + 1;
        state.begun = state.line;
      } else if (state.bytes === 0 && state.depth === 1 && byte !== undefined && byte <= 0x20) {
        // Space before an element is none of it, so that its line is where it begins.
        if (from === at) {
          from = at + 1;
          state.begun = state.line;
        }
      }
    }
    if (state.depth > 0) keep(chunk.subarray(from));
    if (batch.length > 0) yield batch;
  }
  if (state.depth > 0)
    throw new StartError(`${name} ends within its array, in line ${state.line}: it was cut off.`);
};
