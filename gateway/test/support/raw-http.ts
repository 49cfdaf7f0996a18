import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** An HTTP answer as it came over the wire: nothing decompressed, nothing followed, nothing cached. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

/** Sends exactly these headers (and `host`, and the length of a body). */
export const sendRaw = (
  url: string,
  options: { method?: string; headers?: Readonly<Record<string, string>>; body?: string } = {},
): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const request = httpRequest(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .once('error', reject)
        .once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes: Buffer.concat(chunks),
          }),
        );
    });
    request.once('error', reject).end(body);
  });

/** The names in `Vary`, in small letters and in order. */
export const varies = ({ headers }: RawAnswer): string[] =>
  (headers.vary ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .sort();
