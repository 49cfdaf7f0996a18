import { createOutput, InflatedTooLarge, malformed, readUIntBE, readUIntLE, type Output } from './output.js';

/**
 * The start of a stream of Java's clients, which frame blocks of snappy. Other clients send one block and no
 * frame.
 */
const javaMagic = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0]);
/** The magic number and two version numbers of four bytes. */
const javaHeaderBytes = 16;

/**
 * Inflates snappy, one block or the framing of Java's clients, to at most `maxBytes`. Throws {@link
 * InflatedTooLarge} beyond that, and another error if the data is malformed. The format: google/snappy,
 * format_description.txt.
 */
export const inflateSnappy = (source: Buffer, maxBytes: number): Buffer => {
  const output = createOutput(4 * source.length, maxBytes);
  if (!source.subarray(0, javaMagic.length).equals(javaMagic)) {
    inflateBlock(source, output, maxBytes);
    return output.bytes();
  }
  for (let at = javaHeaderBytes; at < source.length;) {
    const end = at + 4 + readUIntBE(source, at, 4);
    if (end > source.length) throw malformed();
    inflateBlock(source.subarray(at + 4, end), output, maxBytes);
    at = end;
  }
  return output.bytes();
};

const inflateBlock = (source: Buffer, output: Output, maxBytes: number): void => {
  // The block starts with its inflated size, in groups of seven bits, the lowest first.
  let [at, size, factor] = [0, 0, 1];
  for (let byte = 0x80; byte >= 0x80; factor *= 0x80) {
    if (at >= source.length || at > 4) throw malformed();
    byte = source[at] ?? 0;
    size += (byte & 0x7f) * factor;
    at += 1;
  }
  const end = output.length() + size;
  if (end > maxBytes) throw new InflatedTooLarge(maxBytes);
  while (at < source.length) {
    const tag = source[at] ?? 0;
    const upper = tag >>> 2;
    at += 1;
    if ((tag & 3) === 0) {
      const extra = upper < 60 ? 0 : upper - 59;
      const count = 1 + (extra === 0 ? upper : readUIntLE(source, at, extra));
      output.literals(source, at + extra, count);
      at += extra + count;
    } else if ((tag & 3) === 1) {
      output.repeat(((tag >>> 5) << 8) | readUIntLE(source, at, 1), 4 + (upper & 7));
      at += 1;
    } else {
      const width = (tag & 3) === 2 ? 2 : 4;
      output.repeat(readUIntLE(source, at, width), 1 + upper);
      at += width;
    }
  }
  if (output.length() !== end) throw malformed();
};
