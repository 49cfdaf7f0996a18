import { createOutput, malformed, readUIntLE, type Output } from './output.js';

const magic = 0x184d2204;

/**
 * Inflates one lz4 frame to at most `maxBytes`. Throws `InflatedTooLarge` beyond that, and another error if
 * the data is malformed. Checksums are not verified. The format: lz4/lz4, lz4_Frame_format.md and
 * lz4_Block_format.md.
 */
export const inflateLz4 = (source: Buffer, maxBytes: number): Buffer => {
  const output = createOutput(4 * source.length, maxBytes);
  const flags = source[4] ?? 0;
  const [version, hasBlockSums, hasSize, hasDictionary] = [flags >>> 6, flags & 16, flags & 8, flags & 1];
  if (readUIntLE(source, 0, 4) !== magic || version !== 1 || hasDictionary) throw malformed();
  // The header: magic number, flags, block size, optional content size, checksum.
  let at = 7 + (hasSize ? 8 : 0);
  for (;;) {
    const size = readUIntLE(source, at, 4);
    at += 4;
    if (size === 0) return output.bytes();
    const end = at + (size & 0x7fffffff);
    if (end > source.length) throw malformed();
    // The highest bit marks a block that is stored uncompressed.
    if (size > 0x7fffffff) output.literals(source, at, end - at);
    else inflateBlock(source.subarray(at, end), output);
    at = end + (hasBlockSums ? 4 : 0);
  }
};

/** Appends one block to `output`. Its matches may refer to earlier blocks. */
const inflateBlock = (source: Buffer, output: Output): void => {
  let at = 0;
  /** A length of 15 is extended by the following bytes, up to the first that is not 255. */
  const extended = (start: number): number => {
    let length = start;
    for (let byte = start === 15 ? 255 : 0; byte === 255; at += 1) {
      byte = readUIntLE(source, at, 1);
      length += byte;
    }
    return length;
  };
  while (at < source.length) {
    const token = source[at] ?? 0;
    at += 1;
    const count = extended(token >>> 4);
    output.literals(source, at, count);
    at += count;
    if (at === source.length) return;
    const distance = readUIntLE(source, at, 2);
    at += 2;
    output.repeat(distance, 4 + extended(token & 15));
  }
};
