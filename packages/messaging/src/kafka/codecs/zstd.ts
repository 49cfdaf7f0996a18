import { broken, InflatedTooLarge } from './inflate.js';

/**
 * Inflates one frame of zstd to at most `maxBytes`: rejects with {@link InflatedTooLarge} beyond, and with another error for what
 * is no zstd. The package that does it is loaded at the first call. The format: RFC 8878.
 */
export const inflateZstd = async (source: Buffer, maxBytes: number): Promise<Buffer> => {
  const { Decompress } = await import('fzstd');
  const parts: Uint8Array[] = [];
  let length = 0;
  const stream = new Decompress((part) => {
    length += part.length;
    if (length > maxBytes) throw new InflatedTooLarge(maxBytes);
    parts.push(part);
  });
  stream.push(boundedFrame(source, maxBytes), true);
  return Buffer.concat(parts, length);
};

/** fzstd allocates what a frame asks for before it has seen more than its first bytes: up to two gigabytes. */
const boundedFrame = (source: Buffer, maxBytes: number): Buffer => {
  if (source.length < 9 || source.readUInt32LE(0) !== 0xfd2fb528) throw broken();
  const flags = source[4] ?? 0;
  const isWhole = (flags & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeBytes = [isWhole ? 1 : 0, 2, 4, 8][flags >>> 6] ?? 0;
  const sizeAt = (isWhole ? 5 : 6) + dictionaryBytes;
  const start = sizeAt + sizeBytes;
  // Also sees to it that the whole header is there.
  if (endOf(source, start) + ((flags & 4) === 0 ? 0 : 4) !== source.length) throw broken();
  if (sizeBytes > 0) {
    const low = source.readUIntLE(sizeAt, Math.min(sizeBytes, 4)) + (sizeBytes === 2 ? 256 : 0);
    const high = sizeBytes === 8 ? source.readUInt32LE(sizeAt + 4) : 0;
    if (high > 0 || low > maxBytes) throw new InflatedTooLarge(maxBytes);
  }
  if (isWhole || windowOf(source[5] ?? 0) <= maxBytes) return source;
  // A window wider than all that may come is never needed.
  const bounded = Buffer.from(source);
  bounded[5] = (Math.floor(Math.log2(maxBytes)) - 10) << 3;
  return bounded;
};

const windowOf = (descriptor: number): number => 2 ** (10 + (descriptor >>> 3)) * (1 + (descriptor & 7) / 8);

/** Where the last block ends. A second frame behind it, which could ask for as much again, is none that a producer sends. */
const endOf = (source: Buffer, start: number): number => {
  for (let at = start; at + 3 <= source.length;) {
    const header = source.readUIntLE(at, 3);
    // One byte that is repeated, or as many as it says.
    at += 3 + (((header >>> 1) & 3) === 1 ? 1 : header >>> 3);
    if ((header & 1) === 1) return at;
  }
  throw broken();
};
