/** What is inflated, and how much of it there may be. */
const createOutput = (expected: number, maxBytes: number) => {
  let bytes = Buffer.allocUnsafe(Math.min(expected, maxBytes));
  let length = 0;
  /** Makes room for so many bytes more. */
  const grow = (more: number) => {
    if (length + more > maxBytes) throw new InflatedTooLarge(maxBytes);
    if (length + more <= bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(2 * bytes.length, length + more)));
    bytes.copy(larger, 0, 0, length);
    bytes = larger;
  };
  return {
    length: () => length,
    /** Appends a part of `source`. */
    literals: (source: Buffer, at: number, count: number): void => {
      if (at + count > source.length) throw broken();
      grow(count);
      if (count > 32) source.copy(bytes, length, at, at + count);
      // Most are a few bytes long, and a call for each would cost more than they do.
      else for (let index = 0; index < count; index += 1) bytes[length + index] = source[at + index] ?? 0;
      length += count;
    },
    /** Appends again what was appended `distance` bytes ago; where that is less than `count`, it repeats itself. */
    repeat: (distance: number, count: number): void => {
      if (distance === 0 || distance > length) throw broken();
      grow(count);
      const [start, end] = [length - distance, length + count];
      if (count <= 32) {
        for (let to = length; to < end; to += 1) bytes[to] = bytes[to - distance] ?? 0;
      } else {
        // What is there already is a whole number of repetitions, and can be copied at once.
        for (let to = length; to < end; to += to - start) {
          bytes.copyWithin(to, start, start + Math.min(to - start, end - to));
        }
      }
      length += count;
    },
    whole: (): Buffer => bytes.subarray(0, length),
  };
};

type Output = ReturnType<typeof createOutput>;

/** Inflating was given up: there would be more than so many bytes. */
export class InflatedTooLarge extends Error {
  override readonly name = 'InflatedTooLarge';
  constructor(maxBytes: number) {
    super(`inflates to more than ${maxBytes} bytes`);
  }
}

/** It is not in the format that its batch names. */
export const broken = (): Error => new Error('is not what it says it is compressed with');

/** What the Java clients put before and between blocks of snappy; others send one block and nothing else. */
const javaSnappy = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0]);

/**
 * Inflates snappy, one block or the framing of Java's clients, to at most `maxBytes`: throws {@link InflatedTooLarge} beyond,
 * and another error for what is no snappy. The format: google/snappy, format_description.txt.
 */
export const inflateSnappy = (source: Buffer, maxBytes: number): Buffer => {
  const output = createOutput(4 * source.length, maxBytes);
  if (!source.subarray(0, 8).equals(javaSnappy)) {
    snappyBlock(source, output, maxBytes);
    return output.whole();
  }
  // Behind it are two version numbers.
  for (let at = 16; at < source.length;) {
    const end = at + 4 + word(source, at, 'big');
    if (end > source.length) throw broken();
    snappyBlock(source.subarray(at + 4, end), output, maxBytes);
    at = end;
  }
  return output.whole();
};

const snappyBlock = (source: Buffer, output: Output, maxBytes: number): void => {
  let [at, claimed, shift] = [0, 0, 1];
  for (let byte = 0x80; byte >= 0x80; shift *= 0x80) {
    if (at >= source.length || at > 4) throw broken();
    byte = source[at] ?? 0;
    claimed += (byte & 0x7f) * shift;
    at += 1;
  }
  const end = output.length() + claimed;
  if (end > maxBytes) throw new InflatedTooLarge(maxBytes);
  while (at < source.length) {
    const tag = source[at] ?? 0;
    const upper = tag >>> 2;
    at += 1;
    if ((tag & 3) === 0) {
      const extra = upper < 60 ? 0 : upper - 59;
      const count = 1 + (extra === 0 ? upper : number(source, at, extra));
      output.literals(source, at + extra, count);
      at += extra + count;
    } else if ((tag & 3) === 1) {
      output.repeat(((tag >>> 5) << 8) | number(source, at, 1), 4 + (upper & 7));
      at += 1;
    } else {
      const width = (tag & 3) === 2 ? 2 : 4;
      output.repeat(number(source, at, width), 1 + upper);
      at += width;
    }
  }
  if (output.length() !== end) throw broken();
};

/**
 * Inflates one frame of lz4 to at most `maxBytes`: throws {@link InflatedTooLarge} beyond, and another error for what is no
 * lz4. Checksums are not looked at. The format: lz4/lz4, lz4_Frame_format.md and lz4_Block_format.md.
 */
export const inflateLz4 = (source: Buffer, maxBytes: number): Buffer => {
  const output = createOutput(4 * source.length, maxBytes);
  const flags = source[4] ?? 0;
  const [version, hasBlockSums, hasSize, hasDictionary] = [flags >>> 6, flags & 16, flags & 8, flags & 1];
  if (word(source, 0, 'little') !== 0x184d2204 || version !== 1 || hasDictionary) throw broken();
  // Flags, the size of blocks, and the checksum of the header.
  let at = 7 + (hasSize ? 8 : 0);
  for (;;) {
    const size = word(source, at, 'little');
    at += 4;
    if (size === 0) return output.whole();
    const end = at + (size & 0x7fffffff);
    if (end > source.length) throw broken();
    if (size > 0x7fffffff) output.literals(source, at, end - at);
    else lz4Block(source.subarray(at, end), output);
    at = end + (hasBlockSums ? 4 : 0);
  }
};

/** Blocks may go back to what is in those before them. */
const lz4Block = (source: Buffer, output: Output): void => {
  let at = 0;
  /** Fifteen is continued by bytes, up to the first that is not 255. */
  const length = (start: number): number => {
    let whole = start;
    for (let byte = start === 15 ? 255 : 0; byte === 255; at += 1) {
      byte = number(source, at, 1);
      whole += byte;
    }
    return whole;
  };
  while (at < source.length) {
    const token = source[at] ?? 0;
    at += 1;
    const count = length(token >>> 4);
    output.literals(source, at, count);
    at += count;
    if (at === source.length) return;
    const distance = number(source, at, 2);
    at += 2;
    output.repeat(distance, 4 + length(token & 15));
  }
};

/** A number of so many bytes, the least significant first. */
const number = (source: Buffer, at: number, width: number): number => {
  if (at + width > source.length) throw broken();
  return source.readUIntLE(at, width);
};

const word = (source: Buffer, at: number, order: 'big' | 'little'): number => {
  if (at + 4 > source.length) throw broken();
  return order === 'big' ? source.readUInt32BE(at) : source.readUInt32LE(at);
};
