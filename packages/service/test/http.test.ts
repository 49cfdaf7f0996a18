import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createHttpServer, type HttpServer, type Readiness } from '../src/http/server.js';
import { createLogger } from '../src/logger.js';

let server: HttpServer | undefined;
afterEach(async () => {
  await server?.part.stop();
  server = undefined;
});

const start = async (
  options: { readiness?: () => Promise<Readiness>; slow?: Promise<unknown>; onSlow?: () => void } = {},
) => {
  server = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ name: 'test', level: 'silent' }),
    readiness: options.readiness ?? (async () => ({ ready: true, checks: { store: 'answers' } })),
    maxBodyBytes: 1_000,
  });
  server.app.post('/echo', async (request) => ({ body: request.body }));
  server.app.get('/fault', async () => {
    throw new Error('secret at 10.0.0.1');
  });
  server.app.get('/slow', async () => {
    options.onSlow?.();
    await options.slow;
    return { done: true };
  });
  await server.part.start();
  return server.url();
};

const post = (url: string, body: string, type = 'application/json') =>
  fetch(`${url}/echo`, { method: 'POST', headers: { 'content-type': type }, body });

const codeOf = async (response: Response) => {
  const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] };
  return [response.status, errors[0]?.extensions.code];
};

describe('createHttpServer', () => {
  it('rejects a body that is too large, unreadable or of another type with a code, and names no library', async () => {
    const url = await start();
    expect(await codeOf(await post(url, `"${'x'.repeat(2_000)}"`))).toEqual([413, 'REQUEST_TOO_LARGE']);
    expect(await codeOf(await post(url, '{"a":'))).toEqual([400, 'BAD_REQUEST']);
    expect(await codeOf(await post(url, '{"__proto__":{"a":1}}'))).toEqual([400, 'BAD_REQUEST']);
    expect(await codeOf(await post(url, 'a=b', 'application/x-www-form-urlencoded'))).toEqual([
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ]);
    expect(await codeOf(await fetch(`${url}/nowhere`))).toEqual([404, 'NOT_FOUND']);
    const { headers } = await post(url, '{}');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('server')).toBeNull();
  });

  it('masks an unexpected error', async () => {
    const response = await fetch(`${await start()}/fault`);
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).not.toContain('secret');
    expect(text).not.toContain('at ');
  });

  it('is live while it is not ready, and reports why it is not ready', async () => {
    const url = await start({ readiness: async () => ({ ready: false, checks: { store: 'unavailable' } }) });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    const ready = await fetch(`${url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'unready', checks: { store: 'unavailable' } },
    ]);
  });

  it.each(['/health/live', '/health/ready'])(
    'responds to HEAD on %s as to GET, without a body',
    async (path) => {
      const url = await start();
      const got = await fetch(`${url}${path}`);
      const head = await fetch(`${url}${path}`, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
      expect(head.headers.get('content-length')).toBe(String((await got.text()).length));
    },
  );

  it('responds to HEAD on /health/ready with 503 while it is not ready', async () => {
    const url = await start({ readiness: async () => ({ ready: false, checks: {} }) });
    expect((await fetch(`${url}/health/ready`, { method: 'HEAD' })).status).toBe(503);
  });

  it.each([
    ['HTTP/1.0 without a host', '1.0', '', 200],
    ['a name', '1.1', 'host: a.example\r\n', 200],
    ['an IPv6 address with a port', '1.1', 'host: [::1]:4000\r\n', 200],
    ['an empty host', '1.1', 'host:\r\n', 200],
    ['no host', '1.1', '', 400],
    ['a space', '1.1', 'host: a b\r\n', 400],
    ['half an IPv6 address', '1.1', 'host: [::1\r\n', 400],
    ['brackets without an address', '1.1', 'host: [:::::]\r\n', 400],
    ['a user', '1.1', 'host: user@a\r\n', 400],
    ['a path', '1.1', 'host: a/b\r\n', 400],
    ['a port that does not exist', '1.1', 'host: a:65536\r\n', 400],
    ['two hosts', '1.1', 'host: a\r\nhost: b\r\n', 400],
  ])('responds to a request with %s by the status of its Host', async (_what, version, host, status) => {
    const { port } = new URL(await start());
    const socket = connect(Number(port), '127.0.0.1', () =>
      socket.write(`GET /health/live HTTP/${version}\r\n${host}connection: close\r\n\r\n`),
    );
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
    expect(text).toContain(`HTTP/1.1 ${status} `);
  });

  it('finishes the requests under way before it stops, and accepts no new connection', async () => {
    let finish: (value: unknown) => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const url = await start({
      slow: new Promise((resolve) => (finish = resolve)),
      onSlow: () => begin(),
    });
    const { port } = new URL(url);
    const slow = fetch(`${url}/slow`);
    await begun;
    const stopped = server?.part.stop();
    await new Promise<void>((resolve) => {
      const attempt = () => {
        const socket = connect(Number(port), '127.0.0.1');
        socket.once('error', () => resolve());
        socket.once('connect', () => {
          socket.destroy();
          setImmediate(attempt);
        });
      };
      attempt();
    });
    finish(undefined);
    const response = await slow;
    expect([response.status, await response.json()]).toEqual([200, { done: true }]);
    await stopped;
  });

  it('serves a request that arrives on an idle connection as the drain begins, and then closes the connection', async () => {
    const { port } = new URL(await start());
    const socket = connect(Number(port), '127.0.0.1').setEncoding('utf8');
    const request = 'GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n';
    socket.write(request);
    const [first] = (await once(socket, 'data')) as [string];
    expect(first.toLowerCase()).toContain('connection: keep-alive');
    const stopped = server?.part.stop();
    socket.write(request);
    let second = '';
    for await (const chunk of socket) second += String(chunk);
    expect(second).toContain('HTTP/1.1 200 OK');
    expect(second.toLowerCase()).toContain('connection: close');
    await stopped;
  });

  it('loses no request of clients that keep connections alive while it stops', async () => {
    const url = await start();
    let served = 0;
    const client = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (;;) {
        const result = await new Promise<number | string | undefined>((resolve) => {
          get(`${url}/health/live`, { agent }, (response) => {
            response.resume().once('end', () => resolve(response.statusCode));
          }).once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
        });
        if (result !== 200) return result;
        served += 1;
      }
    };
    const ends = Promise.all(Array.from({ length: 40 }, client));
    while (served < 400) await new Promise((resolve) => setImmediate(resolve));
    await server?.part.stop();
    expect(new Set(await ends)).toEqual(new Set(['ECONNREFUSED']));
  });

  it.each([
    ['sends nothing', ''],
    ['stopped in the head of a request', 'POST /echo HTTP/1.1\r\nhost: a\r\n'],
    [
      'stopped in the body of a request',
      'POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"a"',
    ],
  ])('stops although a client that %s keeps a connection open', async (_what, sent) => {
    const { port } = new URL(await start());
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    await new Promise<void>((resolve) => socket.write(sent || '', () => resolve()));
    // The server has received the bytes once it has responded to a later request.
    await fetch(`http://127.0.0.1:${port}/health/live`);
    await server?.part.stop();
    await closed;
  });

  it('does not reset the connection of a client that is still sending what was refused', async () => {
    const { port } = new URL(await start());
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(40_000)}`);
    let text = '';
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) text += String(chunk);
    expect(text).toContain('HTTP/1.1 431 ');
    for (let part = 0; part < 5; part++) {
      await new Promise((resolve) => socket.write('x'.repeat(1_000), resolve));
      // The server has received it once it has responded to a later request.
      await fetch(`http://127.0.0.1:${port}/health/live`);
    }
    expect(errors).toEqual([]);
    socket.end();
    await closed;
  });

  it.each([
    ['an invalid URL', 'GET /%ff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 400],
    ['bytes that are not HTTP', 'HELLO\r\n\r\n', 400],
    ['headers that are too long', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  ])('responds to %s with an error in the format of GraphQL', async (_what, sent, status) => {
    const { port } = new URL(await start());
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(sent));
    socket.on('error', () => undefined);
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
    expect(text).toContain(`HTTP/1.1 ${status} `);
    expect(text.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1))).toMatchObject({
      errors: [{ extensions: { code: expect.stringMatching(/^[A-Z_]+$/) } }],
    });
    expect(text).not.toContain('FST_');
  });
});
