import { pipeline, Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import type { Dispatcher } from 'undici';

type Body = Dispatcher.ResponseData['body'];

/** The encodings of responses that `readText` decodes, as the value of `Accept-Encoding`. */
export const acceptedEncodings = 'gzip, deflate, br';

const decoders: Readonly<Record<string, (body: Body) => Promise<[Readable, Transform]>>> = {
  gzip: async (body) => [body, createGunzip()],
  'x-gzip': async (body) => [body, createGunzip()],
  deflate: async (body) => {
    const bytes = Buffer.from(await body.arrayBuffer());
    // Some servers send it without the header of zlib, against RFC 9110, 8.4.1.
    const hasHeader = bytes.length === 0 || ((bytes[0] ?? 0) & 0x0f) === 8;
    return [Readable.from([bytes]), hasHeader ? createInflate() : createInflateRaw()];
  },
  br: async (body) => [body, createBrotliDecompress()],
};

/**
 * Reads a response whose `Content-Encoding` is `encoding`. Rejects, and ends the response, as soon as more
 * than `maxBytes` are decompressed, and if the encoding is not one of `acceptedEncodings` or the data is
 * corrupt. The caller limits the bytes before decompression.
 */
export const readText = async (
  body: Body,
  encoding: string | readonly string[] | undefined,
  maxBytes: number,
): Promise<string> => {
  const name = String(encoding ?? '')
    .trim()
    .toLowerCase();
  if (name === '' || name === 'identity') return body.text();
  const open = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
  if (!open) {
    body.on('error', () => undefined).destroy();
    throw new Error(
      `the response has the content-encoding "${name}"; supported are ${acceptedEncodings}, one at a time`,
    );
  }
  // An error of one stream ends the other, and reaches the loop below.
  const [source, decoder] = await open(body);
  const decoded = pipeline(source, decoder, () => undefined);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of decoded as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`the response has more than ${maxBytes} bytes when decompressed`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
};
