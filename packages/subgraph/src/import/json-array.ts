import { isUtf8 } from 'node:buffer';
import { StartError } from '@cinegraph/service/start-error';
import { defaultMaxBytes, type TextRecord } from './lines.js';
import type { Source } from './source.js';

const lineFeed = 0x0a;

/**
 * Yields the elements of a JSON array as texts with their numbers, in constant memory. An element that has
 * more than `maxBytes` or is not UTF-8 has a fault. Throws a StartError if the array does not end, or if
 * something follows it.
 */
export const readJsonArray = async function* (
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
    const at = { line, element: elements + 1 };
    state.parts = [];
    state.bytes = 0;
    if (bytes > maxBytes)
      batch.push({ ...at, text: '', fault: `the record has ${bytes} bytes, more than ${maxBytes}` });
    else if (!isUtf8(text)) batch.push({ ...at, text: text.toString('latin1'), fault: 'it is not UTF-8' });
    else if (!isLast || elements > 0 || text.toString().trim() !== '')
      batch.push({ ...at, text: text.toString() });
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
          throw new StartError(`${name} continues after the end of its array, in line ${state.line}.`);
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
        // Space before an element does not belong to it, so that its line is the one where it begins.
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
