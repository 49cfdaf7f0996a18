import { InflatedTooLarge, malformed } from './output.js';

const magic = 0xfd2fb528;

/**
 * Inflates one zstd frame to at most `maxBytes`. Rejects with {@link InflatedTooLarge} beyond that, and with
 * another error if the data is malformed. The decoder is loaded at the first call. The format: RFC 8878.
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

/**
 * Returns the frame with a window of at most `maxBytes`. fzstd allocates the size that the header states, up
 * to two gigabytes, before it has read any data.
 */
const boundedFrame = (source: Buffer, maxBytes: number): Buffer => {
  if (source.length < 9 || source.readUInt32LE(0) !== magic) throw malformed();
  const flags = source[4] ?? 0;
  const isSingleSegment = (flags & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >>> 6] ?? 0;
  const sizeAt = (isSingleSegment ? 5 : 6) + dictionaryBytes;
  const start = sizeAt + sizeBytes;
  const checksumBytes = (flags & 4) === 0 ? 0 : 4;
  // This also proves that the header is complete.
  if (endOfBlocks(source, start) + checksumBytes !== source.length) throw malformed();
  if (sizeBytes > 0) {
    const low = source.readUIntLE(sizeAt, Math.min(sizeBytes, 4)) + (sizeBytes === 2 ? 256 : 0);
    const high = sizeBytes === 8 ? source.readUInt32LE(sizeAt + 4) : 0;
    if (high > 0 || low > maxBytes) throw new InflatedTooLarge(maxBytes);
  }
  if (isSingleSegment || windowSize(source[5] ?? 0) <= maxBytes) return source;
  // A window larger than the whole output is never needed.
  const bounded = Buffer.from(source);
  bounded[5] = (Math.floor(Math.log2(maxBytes)) - 10) << 3;
  return bounded;
};

const windowSize = (descriptor: number): number =>
  2 ** (10 + (descriptor >>> 3)) * (1 + (descriptor & 7) / 8);

/**
 * Returns the position after the last block. A second frame after it is refused: producers send none, and it
 * could ask for as much memory again.
 */
const endOfBlocks = (source: Buffer, start: number): number => {
  for (let at = start; at + 3 <= source.length;) {
    const header = source.readUIntLE(at, 3);
    const isRunLength = ((header >>> 1) & 3) === 1;
    at += 3 + (isRunLength ? 1 : header >>> 3);
    if ((header & 1) === 1) return at;
  }
  throw malformed();
};
