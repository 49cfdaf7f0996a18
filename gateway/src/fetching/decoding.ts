import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';

/** The encodings of responses that can be decompressed, as the value of `Accept-Encoding`. */
export const acceptedEncodings = 'gzip, deflate, br';

const openers: Readonly<Record<string, (firstBytes: Buffer | undefined) => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  // Some servers send it without the header of zlib, against RFC 9110, 8.4.1.
  deflate: (firstBytes) =>
    firstBytes === undefined || ((firstBytes[0] ?? 0) & 0x0f) === 8 ? createInflate() : createInflateRaw(),
  br: () => createBrotliDecompress(),
};

/** Collects the bytes of one response. */
export interface Decoder {
  write(chunk: Buffer): void;
  /** Call it after the last byte. */
  end(): void;
  /** Ends without a result; also after a result. */
  destroy(): void;
}

/**
 * Creates a decoder of a response whose `Content-Encoding` is `encoding`, and calls `done` once: with the
 * text, or with an error as soon as more than `maxBytes` are decompressed, if the encoding is not one of
 * `acceptedEncodings`, or if the data is corrupt. The caller limits the bytes before decompression.
 */
export const createDecoder = (
  encoding: string | readonly string[] | undefined,
  maxBytes: number,
  done: (result: string | Error) => void,
): Decoder => {
  const chunks: Buffer[] = [];
  if (encoding === undefined) return collect(chunks, done);
  const name = String(encoding).trim().toLowerCase();
  if (name === '' || name === 'identity') return collect(chunks, done);
  const open = Object.hasOwn(openers, name) ? openers[name] : undefined;
  if (!open) {
    done(
      new Error(
        `the response has the content-encoding "${name}"; supported are ${acceptedEncodings}, one at a time`,
      ),
    );
    return { write: () => undefined, end: () => undefined, destroy: () => undefined };
  }
  let length = 0;
  let decompressor: Transform | undefined;
  const fail = (error: Error): void => {
    decompressor?.destroy();
    done(error);
  };
  const opened = (firstBytes: Buffer | undefined): Transform => {
    decompressor ??= open(firstBytes)
      .on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxBytes)
          fail(new Error(`the response has more than ${maxBytes} bytes when decompressed`));
        else chunks.push(chunk);
      })
      .once('end', () => done(textOf(chunks)))
      .on('error', fail);
    return decompressor;
  };
  return {
    write: (chunk) => void opened(chunk).write(chunk),
    end: () => void opened(undefined).end(),
    destroy: () => void decompressor?.destroy(),
  };
};

const collect = (chunks: Buffer[], done: (result: string) => void): Decoder => ({
  write: (chunk) => void chunks.push(chunk),
  end: () => done(textOf(chunks)),
  destroy: () => undefined,
});

/** Returns UTF-8 bytes as a text, without a byte order mark. */
const textOf = (chunks: readonly Buffer[]): string => {
  const [first] = chunks;
  const bytes = chunks.length === 1 && first ? first : Buffer.concat(chunks);
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', hasMark ? 3 : 0);
};
