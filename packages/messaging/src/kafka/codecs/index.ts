import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import kafkajs from 'kafkajs';
import { inflateZstd } from './zstd.js';
import { inflateLz4, inflateSnappy } from './inflate.js';

/** What a batch of records may inflate to; a broker takes batches of one MiB unless it was told otherwise. */
export const maxInflatedBytes = 64 * 1_048_576;

/** Why a consumer does not get on: a batch of its topics will never be read; the message says what can be done. */
export class BatchUnreadable extends Error {
  override readonly name = 'BatchUnreadable';
}

type Inflate = (source: Buffer, maxBytes: number) => Promise<Buffer>;

const inflateGzip: Inflate = (source, maxOutputLength) => gunzipped(source, { maxOutputLength });
const gunzipped = promisify(gunzip);

const inflates: readonly (readonly [kind: kafkajs.CompressionTypes, name: string, inflate: Inflate])[] = [
  [kafkajs.CompressionTypes.GZIP, 'gzip', inflateGzip],
  [kafkajs.CompressionTypes.Snappy, 'snappy', async (source, max) => inflateSnappy(source, max)],
  [kafkajs.CompressionTypes.LZ4, 'lz4', async (source, max) => inflateLz4(source, max)],
  [kafkajs.CompressionTypes.ZSTD, 'zstd', inflateZstd],
];

/**
 * Has kafkajs read all that other producers compress with, for the whole process: of itself it reads gzip alone, of any size.
 * A batch of more than {@link maxInflatedBytes}, or of something else, is refused with {@link BatchUnreadable}. We ourselves
 * do not compress.
 */
export const readCompressed = (): void => {
  // Its types know of gzip alone, as it does.
  const codecs = kafkajs.CompressionCodecs as Record<number, () => object>;
  for (const [kind, name, inflate] of inflates) {
    const codec = {
      ...(kind === kafkajs.CompressionTypes.GZIP && codecs[kind]?.()),
      decompress: async (source: Buffer) => {
        try {
          return await inflate(source, maxInflatedBytes);
        } catch (error) {
          throw new BatchUnreadable(reasonOf(name, error), { cause: error });
        }
      },
    };
    codecs[kind] = () => codec;
  }
};

/** The {@link BatchUnreadable} behind what kafkajs makes of it once it has tried several times; undefined where there is none. */
export const unreadableIn = (error: unknown): BatchUnreadable | undefined => {
  for (let at = error, depth = 0; at instanceof Object && depth < 8; depth += 1) {
    if (at instanceof BatchUnreadable) return at;
    at = 'cause' in at ? at.cause : undefined;
  }
  return undefined;
};

const reasonOf = (name: string, error: unknown): string => {
  const { name: type, code } = error as { name?: string; code?: string };
  const tooLarge = type === 'InflatedTooLarge' || code === 'ERR_BUFFER_TOO_LARGE';
  const why = tooLarge ? `inflates to more than ${maxInflatedBytes / 1_048_576} MiB` : 'is broken';
  return `a batch that is compressed with ${name} ${why}, and nothing behind it is read: delete its records, or set the group's offset behind it`;
};
