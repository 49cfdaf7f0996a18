/** What a decoder writes to: a buffer that grows up to a limit. */
export interface Output {
  readonly length: () => number;
  /** Appends `count` bytes of `source`, from position `at`. */
  readonly literals: (source: Buffer, at: number, count: number) => void;
  /**
   * Appends `count` bytes again, starting `distance` bytes before the end. If `distance` is less than
   * `count`, the copy includes bytes that it has itself appended.
   */
  readonly repeat: (distance: number, count: number) => void;
  readonly bytes: () => Buffer;
}

/** Creates an output of at most `maxBytes`, beyond which its methods throw {@link InflatedTooLarge}. */
export const createOutput = (expectedBytes: number, maxBytes: number): Output => {
  let bytes = Buffer.allocUnsafe(Math.min(expectedBytes, maxBytes));
  let length = 0;
  const reserve = (more: number) => {
    if (length + more > maxBytes) throw new InflatedTooLarge(maxBytes);
    if (length + more <= bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(2 * bytes.length, length + more)));
    bytes.copy(larger, 0, 0, length);
    bytes = larger;
  };
  return {
    length: () => length,
    literals: (source, at, count) => {
      if (at + count > source.length) throw malformed();
      reserve(count);
      if (count > 32) source.copy(bytes, length, at, at + count);
      // Most literals are a few bytes long, for which a call of `copy` costs more than a loop.
      else for (let index = 0; index < count; index += 1) bytes[length + index] = source[at + index] ?? 0;
      length += count;
    },
    repeat: (distance, count) => {
      if (distance === 0 || distance > length) throw malformed();
      reserve(count);
      const [start, end] = [length - distance, length + count];
      if (count <= 32) {
        for (let to = length; to < end; to += 1) bytes[to] = bytes[to - distance] ?? 0;
      } else {
        // From `start` to `to` there is a whole number of repetitions, so all of it can be copied at once.
        for (let to = length; to < end; to += to - start) {
          bytes.copyWithin(to, start, start + Math.min(to - start, end - to));
        }
      }
      length += count;
    },
    bytes: () => bytes.subarray(0, length),
  };
};

/** Thrown when compressed data would inflate to more than the limit. */
export class InflatedTooLarge extends Error {
  override readonly name = 'InflatedTooLarge';
  constructor(maxBytes: number) {
    super(`inflates to more than ${maxBytes} bytes`);
  }
}

/** Returns the error for data that is not in the format that its batch names. */
export const malformed = (): Error => new Error('the compressed data is malformed');

/** Reads an unsigned little-endian integer of `width` bytes. */
export const readUIntLE = (source: Buffer, at: number, width: number): number => {
  if (at + width > source.length) throw malformed();
  return source.readUIntLE(at, width);
};

/** Reads an unsigned big-endian integer of `width` bytes. */
export const readUIntBE = (source: Buffer, at: number, width: number): number => {
  if (at + width > source.length) throw malformed();
  return source.readUIntBE(at, width);
};
