import { Readable } from 'node:stream';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { createHttpServer } from '@cinegraph/service/http/server';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { addCompression, minCompressedBytes } from '../src/http/compression.js';
import { sendRaw, varies } from './support/raw-http.js';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

const browser = 'gzip, deflate, br, zstd';

describe('an answer of the graph', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ NODE_ENV: 'development' });
  });
  afterAll(() => world.stop());

  const ask = (query: string, encodings?: string) =>
    sendRaw(`${world.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(encodings !== undefined && { 'accept-encoding': encodings }),
      },
      body: JSON.stringify({ query }),
    });
  const wide = '{ things(count: 100) { id name score } }';

  it.each([
    ['br', browser, brotliDecompressSync],
    ['br', 'gzip;q=0.9, br', brotliDecompressSync],
    ['gzip', 'br;q=0.5, gzip;q=0.8', gunzipSync],
    ['gzip', 'gzip', gunzipSync],
  ] as const)(
    'a response is compressed as %s for Accept-Encoding %s',
    async (encoding, encodings, decompress) => {
      const [plain, answer] = [await ask(wide), await ask(wide, encodings)];

      expect(answer.status).toBe(200);
      expect(answer.headers['content-encoding']).toBe(encoding);
      expect(answer.headers['content-length']).toBe(String(answer.bytes.length));
      expect(answer.bytes.length).toBeLessThan(plain.bytes.length / 3);
      expect(decompress(answer.bytes)).toEqual(plain.bytes);
      expect(varies(answer)).toEqual(varies(plain));
    },
  );

  it.each([undefined, '', 'identity', 'deflate', 'gzip;q=0', '*;q=0', 'gzip;q=0.5, identity'])(
    'a response is not compressed for Accept-Encoding %s, and varies on it',
    async (encodings) => {
      const answer = await ask(wide, encodings);

      expect(answer.headers['content-encoding']).toBeUndefined();
      expect(JSON.parse(answer.bytes.toString())).toHaveProperty('data.things.99.score', 990);
      expect(varies(answer)).toContain('accept-encoding');
    },
  );

  it('a response below 1 KB is not compressed, and neither is an error', async () => {
    for (const query of ['{ things { id } }', '{ nothing }']) {
      const answer = await ask(query, browser);
      expect(answer.headers['content-encoding']).toBeUndefined();
      expect(answer.bytes.length).toBeLessThan(minCompressedBytes);
      expect(varies(answer)).toContain('accept-encoding');
    }
  });

  it('a response to a GET is compressed too', async () => {
    const answer = await sendRaw(`${world.url}/graphql?query=${encodeURIComponent(wide)}`, {
      headers: { 'apollo-require-preflight': 'yes', 'accept-encoding': browser },
    });

    expect(answer.headers['content-encoding']).toBe('br');
    expect(JSON.parse(brotliDecompressSync(answer.bytes).toString())).toHaveProperty(
      'data.things.99.id',
      '99',
    );
  });

  it.each(['/graphiql/graphiql.js', '/graphiql/graphiql.css', '/'])(
    'the page %s is compressed too',
    async (path) => {
      const [plain, small] = await Promise.all(
        ['identity', 'br'].map((encodings) =>
          sendRaw(`${world.url}${path}`, { headers: { accept: 'text/html', 'accept-encoding': encodings } }),
        ),
      );

      expect([plain?.status, small?.status, small?.headers['content-encoding']]).toEqual([200, 200, 'br']);
      expect(small?.bytes.length).toBeLessThan((plain?.bytes.length ?? 0) * 0.7);
      const whole = brotliDecompressSync(small?.bytes ?? Buffer.alloc(0));
      expect(whole).toEqual(plain?.bytes);
    },
  );
});

describe('a server with compression', () => {
  const bounds = [minCompressedBytes - 1, minCompressedBytes];
  const server = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    logger: silentLogger,
    readiness: async () => ({ ready: true, checks: {} }),
  });
  let release: () => void = () => undefined;
  beforeAll(async () => {
    addCompression(server.app);
    for (const size of bounds) {
      // Two bytes a letter: it is bytes that count.
      server.app.get(`/text/${size}`, async (_request, reply) =>
        reply.type('text/plain; charset=utf-8').send('é'.repeat(size >> 1) + 'e'.repeat(size & 1)),
      );
    }
    server.app.get('/image', async (_request, reply) => reply.type('image/png').send(Buffer.alloc(5_000)));
    server.app.get('/parts', async (_request, reply) => {
      const rest = new Promise<void>((resolve) => {
        release = resolve;
      });
      const parts = async function* () {
        yield 'a'.repeat(5_000);
        await rest;
        yield 'b';
      };
      return reply.type('application/json').send(Readable.from(parts()));
    });
    await server.part.start();
  });
  afterAll(() => server.part.stop());
  const get = (path: string) =>
    sendRaw(`${server.url()}${path}`, { headers: { 'accept-encoding': browser } });

  it('a response is compressed from 1,024 bytes on, and varies on Accept-Encoding below that too', async () => {
    const seen = [];
    for (const size of bounds) {
      const { headers } = await get(`/text/${size}`);
      seen.push([headers['content-encoding'], headers.vary]);
    }

    expect(seen).toEqual([
      [undefined, 'Accept-Encoding'],
      ['br', 'Accept-Encoding'],
    ]);
  });

  it('a response that is not text is not compressed', async () => {
    const { headers } = await get('/image');

    expect([headers['content-encoding'], headers.vary]).toEqual([undefined, undefined]);
  });

  it('a stream is sent part by part', async () => {
    const response = await fetch(`${server.url()}/parts`, { headers: { 'accept-encoding': browser } });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    release();

    expect(response.headers.get('content-encoding')).toBeNull();
    expect((first?.value as Uint8Array).length).toBe(5_000);
    expect(new TextDecoder().decode((await reader?.read())?.value as Uint8Array)).toBe('b');
  });
});
