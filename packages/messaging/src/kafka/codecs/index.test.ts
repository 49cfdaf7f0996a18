import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { BatchUnreadable, maxInflatedBytes, registerCodecs, unreadableBatchIn } from './index.js';

const { GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes;

/** The samples below are this text, compressed by the classes of Kafka's Java client 4.1.1. */
const text = Array.from(
  { length: 40 },
  (_, index) => `{"id":${(index * 7_919) % 1_000},"text":"${'a'.repeat(24)}"}\n`,
).join('');
const samples = [
  [
    'gzip',
    GZIP,
    'H4sIAAAAAAAA/5XRIQ5CQQwAUc8xViO23XbbchsSEPgvSH64OwmepDN63DvH6zFu8zqO5/sYt3H/0/hczt9aUv05V/bn8OjPO3Z/9nIwi/VnW6s/L9f+rCH9WQoIygSCCgDLAGBuABgJAGMCwK0A0A0A2gaAKwGgFgEUICgLCDoArACAWQAwBQDGAoDbAaAHALQEgDYB4FIAqAYEZRNBAAj4SgFfWovvCzMz6MIBBwAA',
  ],
  [
    'snappy',
    Snappy,
    'glNOQVBQWQAAAAABAAAAAQAAAQeBDkB7ImlkIjowLCJ0ZXh0IjoiYVoBAAgifQoJKwg5MTmmLQAIODM4pi0ACDc1N6YtAAg2NzamLQAINTk1qi0ABDE0pi0ACDQzM6YtAAgzNTKmLQAIMjcxpi0ABDE5qsIBBDEwqsIBADKqwQEEOTSqwQEEODaqwQEENziqwQEENzCqwQEENjKqwQEENTSqwQEENDaqwQEEMziqwQEEMjmuwQEAMarCAQQxM6rCAQA1qsEBBDk3qsEBBDg5qsEBBDgxqsEBBDczqsEBBDY1qsEBBDU3qsEBBDQ4qsEBBDQwqsEBBDMyqsEBBDI0qsIBBDE2rsIBqsEBqr8BCDkyMqYUBQQ4NJK/AQ==',
  ],
  [
    'lz4',
    LZ4,
    'BCJNGGBAgg0BAAD/AnsiaWQiOjAsInRleHQiOiJhAQAEMiJ9CisAPzkxOS0AFz84MzgtABc/NzU3LQAXPzY3Ni0AFz81OTUtABgvMTQtABc/NDMzLQAXPzM1Mi0AFz8yNzEtABcvMTnCARgvMTDCARgfMsEBGC85NMEBGC84NsEBGC83OMEBGC83MMEBGC82MsEBGC81NMEBGC80NsEBGC8zOMEBGC8yOcEBGR8xwgEYLzEzwgEYHzXBARgvOTfBARgvODnBARgvODHBARgvNzPBARgvNjXBARgvNTfBARgvNDjBARgvNDDBARgvMzLBARgvMjTCARgvMTbCARkPwQEYD78BGC85Mr8BGC84NL8BDVBhYSJ9CgAAAAA=',
  ],
  [
    'zstd',
    ZSTD,
    'KLUv/QBYBAUAQgYSFKAnbZC4JahQ1SgoSW7JlYvFH62PzTpSq2ya9R2aKZ/+GdErDdsrHKcx+/rMiVx1ZtbS/dDoc1qeThwkIEOKwqAQwAwREMQQKSCgM0t1HgwyEaLMgAmKiSk2MWliiE2MiWFiTIyJYWJMDDSRwkwGzEaxKWpiTIyJYWJMjIlhYkwMTYS4yUIN0wW5kAu5oYbpQm7INciFBp07uPUBAwEAAA==',
  ],
] as const;

beforeAll(registerCodecs);

const inflate = async (type: number, source: Buffer): Promise<Buffer> => {
  const codecs = kafkajs.CompressionCodecs as Record<
    number,
    () => { decompress: (source: Buffer) => Promise<Buffer> }
  >;
  return codecs[type]!().decompress(source);
};

describe.each(samples)('the %s codec', (name, type, sample) => {
  const source = Buffer.from(sample, 'base64');

  it(`a batch compressed with ${name} by the Java client is read`, async () => {
    expect(String(await inflate(type, source))).toBe(text);
  });

  it(`a truncated batch compressed with ${name} is refused`, async () => {
    for (let length = 17; length < source.length - 4; length += 1) {
      await expect(inflate(type, source.subarray(0, length))).rejects.toBeInstanceOf(BatchUnreadable);
    }
  });

  it(`a batch compressed with ${name} is inflated within the limit or refused, whichever byte of it is wrong`, async () => {
    for (let at = 0; at < source.length; at += 1) {
      const wrong = Buffer.from(source);
      wrong[at] = 255 - (wrong[at] ?? 0);
      const problem = await inflate(type, wrong).then(
        (bytes) =>
          bytes.length <= maxInflatedBytes ? undefined : new Error('inflates to more than the limit'),
        unreadableBatchIn,
      );
      expect(problem instanceof BatchUnreadable || problem === undefined).toBe(true);
    }
  });
});

describe('snappy and lz4 in other forms', () => {
  it('one block of snappy without a frame is read, with every kind of copy', async () => {
    const block = Buffer.concat([
      Buffer.from([1 + 7 + 4 + 5 + 70 + 62, 0, 0x61]),
      // Copies whose distance is stored in one, two and four bytes; then a literal with its length in a byte.
      Buffer.from([(3 << 2) | 1, 1, (3 << 2) | 2, 2, 0, (4 << 2) | 3, 3, 0, 0, 0]),
      Buffer.from([60 << 2, 69, ...Buffer.alloc(70, 'b'), (61 << 2) | 2, 72, 0]),
    ]);
    const length = Buffer.from([0x80 | (block[0]! & 0x7f), block[0]! >>> 7]);
    const whole = String(await inflate(Snappy, Buffer.concat([length, block.subarray(1)])));
    expect(whole).toBe(`${'a'.repeat(17)}${'b'.repeat(70)}aa${'b'.repeat(60)}`);
  });

  it('an lz4 frame with checksums, a size, an uncompressed block and a block that refers to the previous one is read', async () => {
    const frame = Buffer.concat([
      Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x5c, 0x40]),
      Buffer.alloc(9),
      Buffer.from([3, 0, 0, 0x80, ...Buffer.from('abc'), 9, 9, 9, 9]),
      Buffer.from([7, 0, 0, 0, 0x1f, 0x64, 4, 0, 1, 0x10, 0x65, 9, 9, 9, 9, 0, 0, 0, 0]),
    ]);
    expect(String(await inflate(LZ4, frame))).toBe(`abcd${'abcd'.repeat(5)}e`);
  });
});

describe('copies in snappy and lz4', () => {
  const lz4 = (distance: number) => [
    ...[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0],
    ...[4, 0, 0, 0, 0x10, 0x61, distance, 0],
    ...[0, 0, 0, 0],
  ];

  it.each([
    ['snappy, before its start', Snappy, [5, 0, 0x61, (3 << 2) | 2, 2, 0]],
    ['snappy, at distance 0', Snappy, [5, 0, 0x61, (3 << 2) | 2, 0, 0]],
    ['lz4, before its start', LZ4, lz4(2)],
    ['lz4, at distance 0', LZ4, lz4(0)],
  ])(
    'a copy from outside the output, which would expose other memory, is refused: %s',
    async (_what, type, bytes) => {
      await expect(inflate(type, Buffer.from(bytes))).rejects.toThrow(/is malformed/);
    },
  );
});

describe('the limit of inflated batches', () => {
  const over = maxInflatedBytes + 1;
  const lz4 = (bytes: number) => {
    const more = bytes - 1 - 4 - 15;
    const block = Buffer.concat([
      Buffer.from([0x1f, 0x61, 1, 0]),
      Buffer.alloc(Math.floor(more / 255), 255),
      Buffer.from([more % 255]),
    ]);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(block.length);
    return Buffer.concat([Buffer.from([4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0]), size, block, Buffer.alloc(4)]);
  };

  it.each([
    ['gzip', GZIP, () => gzipSync(Buffer.alloc(over))],
    // The block states its size.
    ['snappy', Snappy, () => Buffer.from([0x81, 0x80, 0x80, 0x20, 0, 0x61])],
    ['lz4', LZ4, () => lz4(over)],
    // 513 blocks of 128 KiB, each a single repeated byte.
    [
      'zstd',
      ZSTD,
      () =>
        Buffer.concat([
          Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]),
          ...Array.from({ length: 513 }, (_, at) => Buffer.from([at === 512 ? 3 : 2, 0, 0x10, 0x61])),
        ]),
    ],
  ])(
    'a batch that inflates to more than 64 MiB is refused, and the error says what to do: %s',
    async (name, type, make) => {
      await expect(inflate(type, make())).rejects.toThrow(
        new RegExp(`with ${name} inflates to more than 64 MiB.*set the group's offset to one after it`),
      );
    },
  );

  it('a batch that inflates to exactly 64 MiB is read', async () => {
    expect(await inflate(LZ4, lz4(maxInflatedBytes))).toHaveLength(maxInflatedBytes);
  });
});
