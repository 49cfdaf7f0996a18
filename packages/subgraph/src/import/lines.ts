import { isUtf8 } from 'node:buffer';

/**
 * A record of a text file. `line` is the number of its first line, and `element` that of an element of a JSON
 * array, both counted from 1. `fault` is the reason why the record cannot be read.
 */
export interface TextRecord {
  readonly line: number;
  readonly element?: number;
  readonly text: string;
  readonly fault?: string;
}

/** The maximum size of a line, or of an element of a JSON array, by default. */
export const defaultMaxBytes = 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * Yields the lines of a source in batches, in constant memory. Lines end with LF, CR LF or CR; the first line
 * end decides. A line that has more than `maxBytes` or is not UTF-8 becomes a record with a fault, and the
 * lines after it are read. Empty lines are left out.
 */
export const readLines = async function* (
  chunks: AsyncIterable<Buffer>,
  maxBytes = defaultMaxBytes,
): AsyncGenerator<readonly TextRecord[]> {
  let end: number | undefined;
  let line = 0;
  // The beginning of a line whose end has not been read. If the line is too long, only its bytes are counted.
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
    // A CR at the very end may be the first half of CR LF: it is kept for the next chunk.
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

/**
 * Returns LF if the chunk has one, and CR if its lines end with CR alone; undefined while no line has ended.
 */
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
