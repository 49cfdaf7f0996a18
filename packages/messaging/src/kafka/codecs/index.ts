import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import kafkajs from 'kafkajs';
import { inflateLz4 } from './lz4.js';
import { inflateSnappy } from './snappy.js';
import { inflateZstd } from './zstd.js';

/** The size that a batch of records may inflate to. By default, brokers accept batches of one MiB. */
export const maxInflatedBytes = 64 * 1_048_576;

/**
 * Thrown for a batch that can never be read, so that its consumer cannot continue. The message says what to
 * do.
 */
export class BatchUnreadable extends Error {
  override readonly name = 'BatchUnreadable';
}

type Inflate = (source: Buffer, maxBytes: number) => Promise<Buffer>;

const gunzipAsync = promisify(gunzip);

const codecs: readonly (readonly [type: kafkajs.CompressionTypes, name: string, inflate: Inflate])[] = [
  [kafkajs.CompressionTypes.GZIP, 'gzip', (source, max) => gunzipAsync(source, { maxOutputLength: max })],
  [kafkajs.CompressionTypes.Snappy, 'snappy', async (source, max) => inflateSnappy(source, max)],
  [kafkajs.CompressionTypes.LZ4, 'lz4', async (source, max) => inflateLz4(source, max)],
  [kafkajs.CompressionTypes.ZSTD, 'zstd', inflateZstd],
];

/**
 * Registers decoders for every compression that producers of Kafka use, for the whole process; kafkajs itself
 * reads gzip alone, of any size. A batch that is malformed, or inflates to more than {@link
 * maxInflatedBytes}, is refused with {@link BatchUnreadable}. Our own producer does not compress.
 */
export const registerCodecs = (): void => {
  // The types of kafkajs declare gzip alone.
  const registered = kafkajs.CompressionCodecs as Record<number, () => object>;
  for (const [type, name, inflate] of codecs) {
    const codec = {
      ...(type === kafkajs.CompressionTypes.GZIP && registered[type]?.()),
      decompress: async (source: Buffer) => {
        try {
          return await inflate(source, maxInflatedBytes);
        } catch (error) {
          throw new BatchUnreadable(unreadableMessage(name, error), { cause: error });
        }
      },
    };
    registered[type] = () => codec;
  }
};

/** Returns the {@link BatchUnreadable} in the causes of an error of kafkajs; undefined if there is none. */
export const unreadableBatchIn = (error: unknown): BatchUnreadable | undefined => {
  let current = error;
  for (let depth = 0; current instanceof Object && depth < 8; depth += 1) {
    if (current instanceof BatchUnreadable) return current;
    current = 'cause' in current ? current.cause : undefined;
  }
  return undefined;
};

const unreadableMessage = (codec: string, error: unknown): string => {
  const { name, code } = error as { name?: string; code?: string };
  const isTooLarge = name === 'InflatedTooLarge' || code === 'ERR_BUFFER_TOO_LARGE';
  const reason = isTooLarge ? `inflates to more than ${maxInflatedBytes / 1_048_576} MiB` : 'is malformed';
  return `a batch compressed with ${codec} ${reason}, and no later message of its partition is read: delete its records, or set the group's offset to one after it`;
};
