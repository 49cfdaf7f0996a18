import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { createIdentityReader, identityHeader } from '@cinegraph/service/identity';
import { sendRaw } from './support/raw-http.js';
import {
  claimsOf,
  ec,
  ed,
  encode,
  issuers,
  jwk,
  now,
  ours,
  rsa,
  stranger,
  theirs,
  theirToken,
  tokenOf,
} from './support/tokens.js';
import { askAt, startWorld } from './support/world.js';

const subgraphKey = 'a-key-for-tests-that-is-long-enough-to-be-taken';
const identityOf = createIdentityReader(subgraphKey, 'things', systemClock);

let world: Awaited<ReturnType<typeof startWorld>>;
/** Counts the requests that a forged token could cause. */
let requests: string[];
const listener = createServer(({ url = '' }, response) => {
  requests.push(url);
  response.end(JSON.stringify({ keys: [jwk(stranger.publicKey, 'ed')] }));
});
let listenerUrl: string;
beforeAll(async () => {
  world = await startWorld({ JWT_ISSUERS: issuers, SUBGRAPH_KEY: subgraphKey });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  listenerUrl = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  requests = [];
});
afterEach(() => {
  world.things.seen.length = 0;
});
afterAll(async () => {
  await world.stop();
  listener.close();
  listener.closeAllConnections();
});

const ask = (token: string, url = world.url) =>
  askAt(url, '{ things { id } }', { headers: { authorization: `Bearer ${token}` } });

const expectRefused = async (token: string) => {
  const { status, headers, body, text } = await ask(token);
  expect({ status, errors: body.errors }).toEqual({
    status: 401,
    errors: [{ message: expect.stringContaining('Sign in'), extensions: { code: 'UNAUTHENTICATED' } }],
  });
  expect(headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
  expect(headers.get('cache-control')).toContain('no-store');
  expect(text).not.toContain(token);
  expect(world.things.seen).toEqual([]);
};

describe('a valid access token', () => {
  it.each([
    ['of ours, with EdDSA', () => tokenOf()],
    ['for one of several audiences', () => tokenOf(claimsOf({ aud: ['x', 'other-graph'] }))],
    ['without a kid, if one key fits', () => tokenOf(claimsOf(), { kid: undefined })],
    ['with the type JWT', () => tokenOf(claimsOf(), { typ: 'JWT' })],
    ['without a type', () => tokenOf(claimsOf(), { typ: undefined })],
    ['that expired within the leeway', () => tokenOf(claimsOf({ exp: now() - 20 }))],
    ['of a clock that is ahead', () => tokenOf(claimsOf({ iat: now() + 20, nbf: now() + 20 }))],
    ['of another issuer, with RS256', () => theirToken()],
    ['of another issuer, with PS256', () => theirToken({}, { alg: 'PS256' })],
    ['of another issuer, with ES256', () => theirToken({}, { alg: 'ES256', kid: 'ec' }, ec.privateKey)],
    [
      'whose claims are repeated, of which the last counts',
      () => tokenOf(JSON.stringify(claimsOf()).replace('{', '{"sub":"x",')),
    ],
  ])('a token %s is accepted', async (_what, make) => {
    const { status, headers } = await ask(make());
    expect([status, headers.get('cache-control')]).toEqual([200, 'private, no-store']);
    expect((await ask(make())).status).toBe(200);
  });

  it('the same subject of two issuers is two viewers', async () => {
    const { seen } = world.things;
    await Promise.all([ask(tokenOf()), ask(theirToken())]);

    const identities = seen.map(({ headers }) => identityOf(String(headers[identityHeader])));
    expect(identities).toEqual(
      expect.arrayContaining([
        { id: 'ann', scopes: [] },
        { id: 'their:ann', scopes: [] },
      ]),
    );
  });

  it('the scheme Bearer may be written in any case', async () => {
    const headers = { authorization: `bEARER ${tokenOf()}` };
    expect((await askAt(world.url, '{ things { id } }', { headers })).status).toBe(200);
  });
});

const forgeries: readonly (readonly [string, () => string])[] = [
  ...['none', 'None', 'nOnE', ''].map(
    (alg) => [`with alg ${alg} and no signature`, () => `${encode({ alg })}.${encode(claimsOf())}.`] as const,
  ),
  ['with alg none and a signature', () => tokenOf().replace(/^[^.]+/, encode({ alg: 'none', kid: 'ed' }))],
  ...(['pem', 'der', 'jwk'] as const).map(
    (format) =>
      [
        `with HS256 and the public RSA key as ${format}`,
        () => {
          const secret =
            format === 'jwk'
              ? JSON.stringify(rsa.publicKey.export({ format }))
              : rsa.publicKey.export({ format: format as 'pem', type: 'spki' });
          const text = `${encode({ alg: 'HS256', kid: 'rsa', typ: 'at+jwt' })}.${encode(claimsOf({ iss: theirs }))}`;
          return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
        },
      ] as const,
  ),
  ['that expired before the leeway', () => tokenOf(claimsOf({ exp: now() - 61 }))],
  ['that is not valid yet', () => tokenOf(claimsOf({ nbf: now() + 61 }))],
  ['that was issued in the future', () => tokenOf(claimsOf({ iat: now() + 61 }))],
  ['without exp', () => tokenOf(claimsOf({ exp: undefined }))],
  ['whose exp is a text', () => tokenOf(claimsOf({ exp: String(now() + 300) }))],
  ['of an unknown issuer', () => tokenOf(claimsOf({ iss: 'https://ours.test.evil.example' }))],
  ['without an issuer', () => tokenOf(claimsOf({ iss: undefined }))],
  ['whose issuer is a list', () => tokenOf(claimsOf({ iss: [ours] }))],
  ['whose issuer is a name of Object.prototype', () => tokenOf(claimsOf({ iss: '__proto__' }))],
  ['for the audience of an ID token', () => tokenOf(claimsOf({ aud: 'client-id' }), { typ: 'JWT' })],
  ['without an audience', () => tokenOf(claimsOf({ aud: undefined }))],
  ['without a subject', () => tokenOf(claimsOf({ sub: undefined }))],
  ['whose subject is no viewer id', () => tokenOf(claimsOf({ sub: 'ann admin' }))],
  ['whose subject is empty', () => tokenOf(claimsOf({ sub: '' }))],
  ['whose subject looks like a viewer of another issuer', () => tokenOf(claimsOf({ sub: 'their:ann' }))],
  ['whose subject is a number', () => theirToken({ sub: 7 })],
  ['whose scope hides another scope', () => tokenOf(claimsOf({ scp: ['read write'] }))],
  ['whose policies are no list', () => tokenOf(claimsOf({ policies: { admin: true } }))],
  ['of another type', () => tokenOf(claimsOf(), { typ: 'logout+jwt' })],
  ['without the type that its issuer promises', () => theirToken({}, { typ: 'JWT' })],
  ['with a critical extension', () => tokenOf(claimsOf(), { crit: ['urn:x'], 'urn:x': true })],
  ['with an unencoded payload', () => tokenOf(claimsOf(), { crit: ['b64'], b64: false })],
  ['of a key that nobody knows', () => tokenOf(claimsOf(), {}, stranger.privateKey)],
  ['of the key of another issuer', () => tokenOf(claimsOf(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)],
  ['of the key of another issuer, with our kid', () => tokenOf(claimsOf(), { alg: 'RS256' }, rsa.privateKey)],
  ['with the algorithm of another key', () => theirToken({}, { alg: 'EdDSA' }, ed.privateKey)],
  [
    'with a changed payload',
    () => {
      const [header, , signature] = tokenOf().split('.');
      return `${header}.${encode(claimsOf({ sub: 'root' }))}.${signature}`;
    },
  ],
  ['with a truncated signature', () => tokenOf().slice(0, -10)],
  ['without a signature', () => tokenOf().replace(/[^.]+$/, '')],
  ['with a second signature', () => `${tokenOf()}.${encode('signature')}`],
  [
    'with two signatures, as JSON',
    () => {
      const [header, payload, signature] = tokenOf().split('.');
      const signatures = [
        { protected: header, signature },
        { protected: encode({ alg: 'none' }), signature: '' },
      ];
      return encode({ payload, signatures });
    },
  ],
  ['whose header has alg twice', () => tokenOf(claimsOf(), '{"alg":"EdDSA","kid":"ed","alg":"none"}')],
  ['whose kid is a path', () => tokenOf(claimsOf(), { kid: '../../../../dev/null' })],
  ['whose kid is SQL', () => tokenOf(claimsOf(), { kid: "x' UNION SELECT 'key'; --" })],
  ['whose kid has 4 kB', () => tokenOf(claimsOf(), { kid: 'k'.repeat(4_000) })],
  ['whose kid has 10 kB', () => tokenOf(claimsOf(), { kid: 'k'.repeat(10_000) })],
  ['whose kid is a number', () => tokenOf(claimsOf(), { kid: 7 })],
  ['whose header is no JSON', () => tokenOf(claimsOf(), 'no JSON')],
  ['whose payload is no object', () => tokenOf('[]')],
  ['that is no JWT', () => 'secret'],
  ['with five parts, as encrypted ones have', () => 'a.b.c.d.e'],
];

describe('a forged or unusable access token', () => {
  it.each(forgeries)('a token %s is refused', async (_what, make) => expectRefused(make()));

  it('no token makes the gateway request an address that it names', async () => {
    const key = stranger.privateKey;
    const certificate = createHash('sha256').update('x').digest('base64url');
    for (const header of [
      { jku: `${listenerUrl}/jku` },
      { x5u: `${listenerUrl}/x5u`, 'x5t#S256': certificate },
      { jwk: jwk(stranger.publicKey, 'ed') },
      { kid: `${listenerUrl}/kid` },
      { kid: `${listenerUrl}/kid`, jku: `${listenerUrl}/jku`, jwk: jwk(stranger.publicKey, 'ed') },
    ]) {
      await expectRefused(tokenOf(claimsOf(), header, key));
    }
    await expectRefused(tokenOf(claimsOf({ iss: listenerUrl }), { kid: 'ed' }, key));
    expect(requests).toEqual([]);
  });

  it('a log at level trace says why tokens were refused, and has none of their content', async () => {
    const token = tokenOf(claimsOf({ sub: 'secretViewer', aud: 'secretAudience' }));
    await expectRefused(token);

    const refusals = world.log.filter(({ msg }) => msg === 'a token is refused');
    expect(refusals.at(-1)).toMatchObject({ reason: 'ERR_JWT_CLAIM_VALIDATION_FAILED aud' });
    const log = JSON.stringify(world.log);
    for (const text of [...token.split('.'), 'secretViewer', 'secretAudience'])
      expect(log).not.toContain(text);
  });
});

describe('a header Authorization that is no access token', () => {
  const query = '/graphql?query={__typename}';
  const preflight = { 'apollo-require-preflight': 'yes' };

  it.each([
    ['another scheme', 'Basic YW5uOnNlY3JldA=='],
    ['no token', 'Bearer '],
    ['nothing', ' '],
    ['two tokens', `Bearer ${tokenOf()}, Bearer ${tokenOf()}`],
    ['more than 8 kB', `Bearer ${'a'.repeat(9_000)}`],
  ])('a header with %s is refused and never ignored', async (_what, authorization) => {
    const { status, bytes } = await sendRaw(`${world.url}${query}`, {
      headers: { ...preflight, authorization },
    });
    expect(status).toBe(401);
    expect(bytes.toString()).toContain('"code":"UNAUTHENTICATED"');
  });

  it('two headers Authorization are refused, because another server may read the other one', async () => {
    const authorization = [`Bearer ${tokenOf()}`, `Bearer ${tokenOf(claimsOf({ sub: 'bob' }))}`];
    const { status } = await sendRaw(`${world.url}${query}`, {
      headers: { ...preflight, authorization: authorization as unknown as string },
    });
    expect(status).toBe(401);
  });

  it('a request without a token is served, and only a field that needs a viewer is refused', async () => {
    const { status, body } = await world.ask('{ things { id } broken(code: "UNAUTHENTICATED") }');
    expect({ status, code: body.errors?.[0]?.extensions['code'] }).toEqual({
      status: 200,
      code: 'UNAUTHENTICATED',
    });
    expect(body.data).toMatchObject({ things: [{ id: '0' }, { id: '1' }, { id: '2' }], broken: null });
  });
});

describe('a gateway without issuers', () => {
  it('a token is refused, because nobody can be signed in', async () => {
    const plain = await startWorld({ JWT_ISSUERS: '' });
    try {
      expect((await ask(tokenOf(), plain.url)).status).toBe(401);
      expect((await plain.ask('{ things { id } }')).status).toBe(200);
    } finally {
      await plain.stop();
    }
  });

  it('with FORWARD_HEADERS=authorization the subgraphs judge the header, and the response is private', async () => {
    const passing = await startWorld({ JWT_ISSUERS: '', FORWARD_HEADERS: 'authorization' });
    try {
      const { status, headers } = await ask('opaque', passing.url);
      expect([status, headers.get('cache-control')]).toEqual([200, 'private, no-store']);
      expect(passing.things.seen.map((request) => request.headers.authorization)).toEqual(['Bearer opaque']);
    } finally {
      await passing.stop();
    }
  });
});
