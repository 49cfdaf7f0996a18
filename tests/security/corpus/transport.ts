import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { section, type Tools } from './attack.js';

const preflight = { 'apollo-require-preflight': 'y' };
const pathOf = (query: string) => `/graphql?query=${encodeURIComponent(query)}`;

/** Registers the cases 1 to 20. */
export const transport = (): void =>
  section('Transport and CSRF', (test) => {
    test(1, 'a query by GET without a preflight header is refused', async ({ attack }) => {
      await attack({ method: 'GET', path: pathOf('{ __typename }') }, { status: 400 });
    });

    test(2, 'a mutation by GET with a preflight header is refused', async ({ attack }) => {
      const path = pathOf('mutation { logout(refreshToken: "x") { ended } }');
      await attack({ method: 'GET', path, headers: preflight }, { status: 405 });
    });

    test(3, 'a body of text/plain is refused', async ({ attack }) => {
      const body = '{"query":"{ __typename }"}';
      for (const type of ['text/plain', 'text/plain;application/json', 'text/plain; charset=utf-7'])
        await attack({ body, headers: { 'content-type': type } });
    });

    test(4, 'a form is refused', async ({ attack }) => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      await attack({ body: 'query=%7B__typename%7D', headers });
    });

    test(5, 'a multipart body with operations is refused', async ({ attack }) => {
      const body =
        '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"{ __typename }"}\r\n--x--\r\n';
      for (const more of [{}, preflight])
        await attack({ body, headers: { 'content-type': 'multipart/form-data; boundary=x', ...more } });
    });

    test(8, 'a JSON body of 3 MB is refused', async ({ attack }) => {
      const query = `{ __typename } # ${'x'.repeat(3_000_000)}`;
      await attack({ query }, { status: 413, code: 'REQUEST_TOO_LARGE' });
    });

    test(10, 'truncated JSON is refused without a stack', async ({ attack }) => {
      for (const body of ['{"query":', '{"query":"{ __typename }"', '', 'nul'])
        await attack({ body }, { status: 400, code: 'BAD_REQUEST' });
    });

    test(13, 'a batch of ten operations is refused', async ({ attack }) => {
      await attack({ body: JSON.stringify(Array(10).fill({ query: '{ __typename }' })) }, { status: 400 });
    });

    test(14, 'TRACE is refused, and returns no header of the request', async ({ attack }) => {
      const { text } = await attack({ method: 'TRACE', headers: { cookie: 'secret-of-the-client' } });
      expect(text).not.toContain('secret-of-the-client');
    });

    test(15, 'PUT is refused', async ({ attack }) => {
      await attack({ method: 'PUT' }, { status: 405 });
    });

    test(18, '200 connections that send one byte a second are closed within 15 s', async (tools) => {
      await slowConnections(tools);
    });

    test(19, 'another Origin gets no permission to read', async ({ attack }) => {
      for (const origin of ['https://evil.example', 'null', 'http://localhost:3000']) {
        for (const method of ['POST', 'OPTIONS']) {
          const { headers } = await attack(
            {
              query: '{ __typename }',
              method,
              headers: { origin, ...(method === 'OPTIONS' && { 'access-control-request-method': 'POST' }) },
            },
            { status: [200, 204, 400, 404, 405] },
          );
          expect(headers['access-control-allow-origin']).toBeUndefined();
        }
      }
    });

    test(20, 'every response has the security headers and names no software', async ({ attack }) => {
      const attacks = [
        { query: '{ __typename }' },
        { query: '{ nothing }' },
        { body: '{' },
        { method: 'GET', path: '/' },
        { method: 'GET', path: '/%ff' },
        { method: 'GET', path: '/health/ready' },
      ];
      for (const one of attacks) {
        const { headers } = await attack(one, { status: [200, 400, 404] });
        expect(headers).toMatchObject({
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
        });
        expect(headers['content-type']).not.toContain('html');
        for (const name of ['x-powered-by', 'server']) expect(headers[name]).toBeUndefined();
      }
    });
  });

/** Slow connections are closed within 15 s on a machine that is idle. */
const maxSlowMs = 20_000;

/** Sends half of the connections slow headers and the other half a slow body, and asks beside them. */
const slowConnections = async ({ stack, attack, note }: Tools) => {
  const { hostname, port } = new URL(stack.url);
  const body =
    'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n';
  const startedAt = performance.now();
  const sockets = Array.from({ length: 200 }, (_, n) => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.resume().write(n % 2 === 0 ? 'GET /graphql HTTP/1.1\r\n' : body);
    return socket;
  });
  const dripping = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('x');
  }, 1_000);
  const isOpen = (socket: Socket) => !socket.closed;
  // The others ask all the time, five times a second.
  while (sockets.some(isOpen) && performance.now() - startedAt < maxSlowMs) {
    await attack({ query: '{ __typename }' }, { status: 200 });
    await delay(200);
  }
  clearInterval(dripping);
  const open = sockets.filter(isOpen).length;
  for (const socket of sockets) socket.destroy();
  note(`closed after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  expect(open).toBe(0);
};
