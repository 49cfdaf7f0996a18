import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { createAuthentication, type Authenticate, type Caller } from '../src/request/authentication.js';
import { claimsOf, ed, encode, jwk, ours, stranger, tokenOf } from './support/tokens.js';
import { createTestLog, startWorld } from './support/world.js';

type Answer = (response: ServerResponse) => void;

const keysAre =
  (...keys: readonly unknown[]): Answer =>
  (response) =>
    response.end(JSON.stringify({ keys }));
const firstKey = jwk(ed.publicKey, 'ed');
const nextKey = jwk(stranger.publicKey, 'next');
const nextToken = () => tokenOf(claimsOf(), { kid: 'next' }, stranger.privateKey);

let answer: Answer;
let requests: number;
let url: string;
const startServer = async () => {
  const server = createServer((_request, response) => {
    requests += 1;
    answer(response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
};
let server: Awaited<ReturnType<typeof startServer>>;
const stopServer = async () => {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
};

let nowMs: number;
let authenticate: Authenticate;
let log: ReturnType<typeof createTestLog>['lines'];
beforeEach(async () => {
  answer = keysAre(firstKey);
  requests = 0;
  server = await startServer();
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  nowMs = Date.now();
  const { lines, logger } = createTestLog();
  log = lines;
  authenticate = createAuthentication({
    issuers: [{ issuer: ours, audience: ['graph'], jwksUrl: url }],
    passesUnread: false,
    clock: { now: () => new Date(nowMs) },
    logger,
  });
});
afterEach(stopServer);

const requestWith = (token: string): IncomingMessage => {
  const request = new IncomingMessage(new Socket());
  request.headers.authorization = `Bearer ${token}`;
  return request;
};
/** Returns the viewer's id, or the code of the refusal. */
const viewerOf = async (token: string): Promise<unknown> => {
  try {
    return (await authenticate(requestWith(token))).viewer?.id;
  } catch (error) {
    return (error as { extensions: { code: string } }).extensions.code;
  }
};

describe('the claims of a token', () => {
  it('a known token is looked up at once, and is refused when it has expired', async () => {
    const token = tokenOf(claimsOf({ exp: Math.floor(nowMs / 1_000) + 10 }));
    const first = await authenticate(requestWith(token));
    const second = authenticate(requestWith(token));
    expect(first).toEqual({ viewer: { id: 'ann', scopes: [] }, policies: [] });
    expect(second).toBe(first);

    nowMs += 10_000 + 30_000 + 1_000;
    expect(await viewerOf(token)).toBe('UNAUTHENTICATED');
  });

  it('a token that many requests bring at once is verified once', async () => {
    const token = tokenOf();
    const callers = await Promise.all(
      Array.from({ length: 50 }, async () => authenticate(requestWith(token))),
    );
    expect(new Set(callers).size).toBe(1);
    expect(requests).toBe(1);
  });

  it.each<[claims: Record<string, unknown>, scopes: readonly string[]]>([
    [{ scope: 'b a a' }, ['a', 'b']],
    [{ scp: ['b', 'a'] }, ['a', 'b']],
    [{ scp: 'a b' }, ['a', 'b']],
    [{ scope: '' }, []],
    [{}, []],
  ])('the scopes of %j are sorted and each is there once', async (claims, scopes) => {
    const { viewer } = await authenticate(requestWith(tokenOf(claimsOf(claims))));
    expect(viewer?.scopes).toEqual(scopes);
  });

  it('policies are the claim of this name', async () => {
    const token = tokenOf(claimsOf({ policies: ['adult', 'region:eu'] }));
    const { policies }: Caller = await authenticate(requestWith(token));
    expect(policies).toEqual(['adult', 'region:eu']);
  });
});

describe('the keys of an issuer', () => {
  it('keys are read when the first token needs them, and a new key when a token names it', async () => {
    expect(requests).toBe(0);
    expect([await viewerOf(tokenOf()), requests]).toEqual(['ann', 1]);
    nowMs += 10_000;
    answer = keysAre(firstKey, nextKey);
    expect([await viewerOf(nextToken()), requests]).toEqual(['ann', 2]);
    expect([await viewerOf(tokenOf(claimsOf({ sub: 'bob' }))), requests]).toEqual(['bob', 2]);
  });

  it('unknown keys cause one request in ten seconds, whatever their names are', async () => {
    await viewerOf(tokenOf());
    nowMs += 10_000;
    const forged = (kid: string) => viewerOf(tokenOf(claimsOf(), { kid }, stranger.privateKey));
    const kids = Array.from({ length: 40 }, (_, index) => `../${index}' OR 1=1; http://evil.example/`);
    expect(new Set(await Promise.all(kids.map(forged)))).toEqual(new Set(['UNAUTHENTICATED']));
    for (const kid of kids) await forged(`${kid}x`);
    expect(requests).toBe(2);
  });

  it('a wrong signature, algorithm or missing kid of an issuer with known keys causes no request', async () => {
    await viewerOf(tokenOf());
    nowMs += 10_000;
    await viewerOf(tokenOf(claimsOf(), {}, stranger.privateKey));
    await viewerOf(tokenOf(claimsOf(), { kid: undefined }, stranger.privateKey));
    for (const header of ['{"alg":"none"}', '{"alg":"RS256","kid":"ed"}', '{"alg":"HS256","kid":"new"}']) {
      await viewerOf(tokenOf().replace(/^[^.]+/, encode(header)));
    }
    expect(requests).toBe(1);
  });

  it('a key that the issuer removed is refused after the keys were read again', async () => {
    const token = tokenOf(claimsOf({ exp: Math.floor(nowMs / 1_000) + 86_400 }));
    await viewerOf(token);
    answer = keysAre(nextKey);
    nowMs += 300_001;
    // This one still has the old keys, while the new ones are read.
    await viewerOf(token);
    await until(() => requests === 2);
    nowMs += 300_001;
    expect(await viewerOf(token)).toBe('UNAUTHENTICATED');
  });

  it('old keys that could not be read again are read a second later', async () => {
    await viewerOf(tokenOf());
    nowMs += 300_001;
    answer = (response) => response.writeHead(500).end();
    const failures = () => log.filter(({ msg }) => msg === 'the keys of an issuer cannot be read').length;
    expect(await viewerOf(tokenOf())).toBe('ann');
    await until(() => requests === 2 && failures() === 1);
    expect([await viewerOf(tokenOf(claimsOf({ jti: '1' }))), requests]).toEqual(['ann', 2]);
    nowMs += 1_000;
    expect(await viewerOf(tokenOf(claimsOf({ jti: '2' })))).toBe('ann');
    await until(() => requests === 3);
  });

  it('without its server known keys work, and a token with another key is refused for the time being', async () => {
    await viewerOf(tokenOf());
    await stopServer();
    nowMs += 300_001;
    expect(await viewerOf(tokenOf())).toBe('ann');
    expect(await viewerOf(tokenOf(claimsOf(), {}, stranger.privateKey))).toBe('UNAUTHENTICATED');
    expect(await viewerOf(nextToken())).toBe('AUTHENTICATION_UNAVAILABLE');
    expect(log.filter(({ msg }) => msg === 'the keys of an issuer cannot be read')).toHaveLength(1);
  });

  it.each<[what: string, answer: Answer]>([
    ['fails', (response) => response.writeHead(500).end('{"keys":[]}')],
    ['redirects', (response) => response.writeHead(302, { location: url }).end()],
    ['sends no JSON', (response) => response.end('<html>')],
    ['sends no keys', (response) => response.end('{"keys":7}')],
    [
      'sends more than 256 kB',
      (response) => response.end(JSON.stringify({ keys: [firstKey], x: 'x'.repeat(300_000) })),
    ],
    ['closes the connection', (response) => response.destroy()],
    ['never ends its response', (response) => response.write('{"keys":[')],
    ['never responds', () => undefined],
  ])('a token is refused for the time being if the server of the keys %s', async (_what, broken) => {
    answer = broken;
    expect(await viewerOf(tokenOf())).toBe('AUTHENTICATION_UNAVAILABLE');
    // It is not asked again within a second.
    expect([await viewerOf(tokenOf()), requests]).toEqual(['AUTHENTICATION_UNAVAILABLE', 1]);
    nowMs += 1_000;
    answer = keysAre(firstKey);
    expect([await viewerOf(tokenOf()), requests]).toEqual(['ann', 2]);
  });

  it('a request whose token cannot be judged gets 503 and may try again, and one without a token is served', async () => {
    await stopServer();
    const world = await startWorld({
      JWT_ISSUERS: JSON.stringify([{ issuer: ours, audience: 'graph', jwksUrl: url }]),
    });
    try {
      const headers = { authorization: `Bearer ${tokenOf()}` };
      const { status, headers: returned, text } = await world.ask('{ things { id } }', { headers });
      expect([status, returned.get('retry-after')]).toEqual([503, '2']);
      expect(JSON.parse(text)).toEqual({
        errors: [
          {
            message: expect.stringContaining('Try again'),
            extensions: { code: 'AUTHENTICATION_UNAVAILABLE' },
          },
        ],
      });
      expect((await world.ask('{ things { id } }')).status).toBe(200);
    } finally {
      await world.stop();
    }
  });
});
