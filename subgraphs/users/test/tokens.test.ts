import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createSigningKeys } from '../src/commands/signing-keys.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { createKeySealer } from '../src/sealed-keys.js';
import { codeOf, usersWorld } from './world.js';

const minuteMs = 60_000;

let world: Awaited<ReturnType<typeof usersWorld>>;
let prisma: PrismaClient;
let aheadMs = 0;
const clock = { now: () => new Date(Date.now() + aheadMs) };
beforeAll(async () => {
  world = await usersWorld({ clock, mode: 'production' });
  prisma = new PrismaClient({ adapter: new PrismaPg(world.subgraph.pool) });
});
afterAll(async () => {
  await prisma.$disconnect();
  await world.subgraph.stop();
});
afterEach(() => {
  aheadMs = 0;
});

const keysWith = (secret: string | undefined) =>
  createSigningKeys({ prisma, clock, sealer: createKeySealer(secret) });

const readKeys = async (): Promise<JSONWebKeySet> => {
  const response = await fetch(`${world.subgraph.url}/.well-known/jwks.json`);
  expect(response.status).toBe(200);
  expect(response.headers.get('cache-control')).toBe('max-age=300, public');
  return (await response.json()) as JSONWebKeySet;
};

/** Verifies a token as the gateway does, by the public keys that users serves now. */
const verify = async (token: string) =>
  jwtVerify(token, createLocalJWKSet(await readKeys()), {
    issuer: 'urn:cinegraph:users',
    audience: 'urn:cinegraph:graph',
    typ: 'at+jwt',
    algorithms: ['EdDSA'],
    currentDate: clock.now(),
  });

describe('access tokens', () => {
  it('an access token is verified by the keys at /.well-known/jwks.json, which are served without an identity', async () => {
    const id = await world.register('jwks');
    await world.subgraph.pool.query(`UPDATE account SET roles = '{EDITOR}' WHERE id = $1`, [id]);
    const { accessToken, accessTokenExpiresAt } = await world.login('jwks');
    const { payload, protectedHeader } = await verify(accessToken);
    expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: expect.any(String) });
    const { iat = 0, exp = 0 } = payload;
    expect(payload).toEqual({
      iss: 'urn:cinegraph:users',
      aud: 'urn:cinegraph:graph',
      sub: id,
      scope: 'catalogue:write',
      jti: expect.any(String),
      iat,
      exp,
    });
    expect(exp - iat).toBe(600);
    expect(Date.parse(accessTokenExpiresAt)).toBe(exp * 1000);
    const unsigned = await fetch(`${world.subgraph.url}/graphql?query={me{login}}`);
    expect(unsigned.status).toBe(401);
  });

  it('an access token is accepted for ten minutes', async () => {
    await world.register('minutes');
    const { accessToken } = await world.login('minutes');
    aheadMs = 9 * minuteMs;
    await expect(verify(accessToken)).resolves.toBeDefined();
    aheadMs = 10 * minuteMs + 1_000;
    await expect(verify(accessToken)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' });
  });

  it('the published keys have no private part, and stored private keys cannot be read', async () => {
    const { keys } = await readKeys();
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      expect(key).toEqual({
        ...{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' },
        kid: expect.any(String),
        x: expect.any(String),
      });
    }
    const { rows } = await world.subgraph.pool.query<{ sealed: Buffer }>(
      'SELECT sealed_key AS sealed FROM signing_key',
    );
    for (const { sealed } of rows) expect(sealed.toString('latin1')).not.toMatch(/"d"|Ed25519/);
  });
});

describe('signing keys', () => {
  it('replicas that start at the same time share one key', async () => {
    await world.subgraph.pool.query('TRUNCATE signing_key');
    const made = await Promise.all(
      Array.from({ length: 4 }, () =>
        keysWith(testSubgraphKey)
          .current()
          .then(({ id }) => id),
      ),
    );
    expect(new Set(made).size).toBe(1);
    expect((await readKeys()).keys.map(({ kid }) => kid)).toEqual([made[0]]);
  });

  it('a rotated key is published at once, signs ten minutes later, and ends no session', async () => {
    await world.register('rotation');
    const first = await world.login('rotation');
    const before = decodeProtectedHeader(first.accessToken).kid;
    const { id } = await keysWith(testSubgraphKey).rotate();
    expect((await readKeys()).keys.map(({ kid }) => kid)).toEqual([id, before]);
    aheadMs = 9 * minuteMs;
    const second = await world.refresh(first.refreshToken);
    expect(decodeProtectedHeader(second.accessToken).kid).toBe(before);
    aheadMs = 11 * minuteMs;
    const third = await world.refresh(second.refreshToken);
    expect(decodeProtectedHeader(third.accessToken).kid).toBe(id);
    // Signed by the earlier key, and not expired yet.
    await expect(verify(second.accessToken)).resolves.toBeDefined();
    await expect(verify(third.accessToken)).resolves.toBeDefined();
    aheadMs = 22 * minuteMs;
    expect((await readKeys()).keys.map(({ kid }) => kid)).toEqual([id]);
    await keysWith(testSubgraphKey).rotate();
    expect(await prisma.signingKey.count({ where: { id: before ?? '' } })).toBe(0);
  });

  it('replacing all keys ends the use of their tokens at once, and no session', async () => {
    await world.register('leak');
    const first = await world.login('leak');
    const id = await keysWith(testSubgraphKey).replace();
    await expect(verify(first.accessToken)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
    const second = await world.refresh(first.refreshToken);
    expect(decodeProtectedHeader(second.accessToken).kid).toBe(id);
    await expect(verify(second.accessToken)).resolves.toBeDefined();
  });

  it('a service with another secret cannot use the stored keys, and makes one of its own', async () => {
    const { id } = await keysWith(testSubgraphKey).current();
    const other = keysWith('another secret of thirty-two characters');
    const made = await other.current();
    expect(made.id).not.toBe(id);
    expect((await readKeys()).keys.map(({ kid }) => kid)).toEqual([made.id, id]);
    expect((await keysWith(testSubgraphKey).current()).id).toBe(id);
  });

  it('a private key that was changed in the database signs nothing', async () => {
    await world.subgraph.pool.query(
      `UPDATE signing_key SET sealed_key = set_byte(sealed_key, 40, get_byte(sealed_key, 40) # 1)`,
    );
    const stored = await prisma.signingKey.findMany();
    const { id } = await keysWith(testSubgraphKey).current();
    expect(stored.map((key) => key.id)).not.toContain(id);
  });

  it('a fault of the store shows nothing of it, neither in a refusal nor in the keys', async () => {
    await world.subgraph.pool.query('ALTER TABLE signing_key RENAME TO hidden');
    expect(codeOf(await world.attempt.refresh('x'))).toBe('INTERNAL_SERVER_ERROR');
    const response = await fetch(`${world.subgraph.url}/.well-known/jwks.json`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('signing_key');
    await world.subgraph.pool.query('ALTER TABLE hidden RENAME TO signing_key');
  });
});
