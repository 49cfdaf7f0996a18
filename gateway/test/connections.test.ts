import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { startWorld } from './support/world.js';

let world: Awaited<ReturnType<typeof startWorld>>;
beforeAll(async () => {
  world = await startWorld({ DEADLINE_MS: '2000' });
});
afterEach(() => {
  world.things.misbehave(undefined);
  world.things.seen.length = 0;
  world.log.length = 0;
});
afterAll(() => world.stop());

const query = '{ things { id } }';
const data = { things: [{ id: '7' }] };
const text = JSON.stringify({ data });

const sendEncoded = (encoding: string, bytes: Buffer) => (response: ServerResponse) =>
  void response
    .writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding })
    .end(bytes);

describe('a compressed response of a subgraph', () => {
  it.each([
    ['gzip', gzipSync(text)],
    ['X-GZIP', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['br', brotliCompressSync(text)],
    ['identity', Buffer.from(text)],
  ])('a response in %s is read', async (encoding, bytes) => {
    world.things.misbehave(sendEncoded(encoding, bytes));

    expect((await world.ask(query)).body).toEqual({ data });
    expect(world.things.seen[0]?.headers['accept-encoding']).toBe('gzip, deflate, br');
  });

  it.each([
    ['an unknown encoding', sendEncoded('zstd', Buffer.from(text)), 'the content-encoding \\"zstd\\"'],
    ['two encodings', sendEncoded('gzip, gzip', gzipSync(gzipSync(text))), 'one at a time'],
    ['the name of a property', sendEncoded('constructor', Buffer.from(text)), 'content-encoding'],
    ['half of the data', sendEncoded('gzip', gzipSync(text).subarray(0, -9)), 'unexpected end of file'],
    ['other data', sendEncoded('br', Buffer.from(text)), 'Decompression failed'],
    ['no data', sendEncoded('deflate', Buffer.alloc(0)), 'unexpected end of file'],
  ])('a response with %s costs only its fields, and the log says why', async (_what, answer, reason) => {
    world.things.misbehave(answer);
    const { body, text: shown } = await world.ask(query);

    expect(body.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'SUBGRAPH_UNAVAILABLE' }]);
    expect(shown).not.toMatch(/encoding|file|Decompression/);
    expect(JSON.stringify(world.log)).toContain(reason);
  });

  it.each(['gzip', 'deflate'])(
    'a response in %s that stops costs no more than the deadline',
    async (name) => {
      const bytes = name === 'gzip' ? gzipSync(text) : deflateSync(text);
      world.things.misbehave((response) => {
        response.writeHead(200, { 'content-encoding': name }).write(bytes.subarray(0, 12));
      });

      expect((await world.ask(query)).body.errors?.[0]?.extensions).toEqual({ code: 'DEADLINE_EXCEEDED' });
    },
  );

  it('a response that is too large when decompressed ends early, and its connection is closed', async () => {
    let sentBytes = 0;
    let isClosed = false;
    // About 35 KB, which are 34 MB of spaces, followed by a response that never ends.
    const bomb = gzipSync(Buffer.alloc(34 << 20, ' '));
    world.things.misbehave((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.write(bomb);
      sentBytes += bomb.length;
      response.once('close', () => (isClosed = true));
    });
    const { body } = await world.ask(query);

    expect(body.errors?.[0]?.extensions).toEqual({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(sentBytes).toBeLessThan(100_000);
    expect(JSON.stringify(world.log)).toContain('bytes when decompressed');
    await until(() => isClosed);
  });
});

describe('a kept-alive connection that the subgraph closes when it is used again', () => {
  /** Answers the first request of each connection, and lets `drop` end the second one. */
  const dropSecond = (drop: (socket: Socket) => void) => {
    const used = new WeakSet<Socket>();
    return (response: ServerResponse): void => {
      const { socket } = response;
      if (!socket) throw new Error('the connection is closed already');
      if (used.has(socket)) {
        drop(socket);
        return;
      }
      used.add(socket);
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ data: { ...data, rename: { id: '7' } } }));
    };
  };
  const mutation = 'mutation { rename(id: "7", name: "x") { id } }';
  const closed = dropSecond((socket) => void socket.destroy());
  const reset = dropSecond((socket) => void socket.resetAndDestroy());
  const partial = dropSecond((socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-type: appl'));

  it.each([
    ['closed', closed],
    ['reset', reset],
  ])('a query whose connection is %s is sent again on a new one', async (_how, misbehaviour) => {
    world.things.misbehave(misbehaviour);
    for (let n = 0; n < 6; n += 1) expect((await world.ask(query)).body).toEqual({ data });

    expect(world.things.seen.length).toBeGreaterThanOrEqual(8);
    for (const { headers } of world.things.seen) expect(Number(headers['x-deadline-ms'])).toBeGreaterThan(0);
  });

  it('a query is not sent again when a part of its response has arrived', async () => {
    world.things.misbehave(partial);
    const codes = [];
    for (let n = 0; n < 4; n += 1) codes.push((await world.ask(query)).body.errors?.[0]?.extensions['code']);

    expect(codes).toContain('SUBGRAPH_UNAVAILABLE');
    expect(world.things.seen).toHaveLength(4);
  });

  it('a mutation is never sent again', async () => {
    world.things.misbehave(closed);
    const codes = [];
    for (let n = 0; n < 4; n += 1)
      codes.push((await world.ask(mutation)).body.errors?.[0]?.extensions['code']);

    expect(codes).toContain('SUBGRAPH_UNAVAILABLE');
    expect(world.things.seen).toHaveLength(4);
  });

  it('a connection is not kept for mutations if the subgraph does not say for how long it keeps it', async () => {
    const sockets = new Set<Socket>();
    world.things.misbehave((response) => {
      if (response.socket) sockets.add(response.socket);
      // Node adds a Keep-Alive header only to its own Connection header.
      response
        .writeHead(200, { 'content-type': 'application/json', connection: 'keep-alive' })
        .end(JSON.stringify({ data: { rename: { id: '7' } } }));
    });
    await world.ask(mutation);

    expect(sockets.size).toBe(1);
    await until(() => [...sockets].every(({ destroyed }) => destroyed));
  });
});
