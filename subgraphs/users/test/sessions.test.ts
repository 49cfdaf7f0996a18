import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { PrismaPg } from '@prisma/adapter-pg';
import { createSessionCommands } from '../src/commands/sessions.js';
import { createTransactions } from '../src/commands/transactions.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { createPasswordHasher } from '../src/passwords.js';
import { codeOf, password, usersWorld } from './world.js';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

let world: Awaited<ReturnType<typeof usersWorld>>;
let replica: Awaited<ReturnType<typeof usersWorld>>;
let aheadMs = 0;
const clock = { now: () => new Date(Date.now() + aheadMs) };
beforeAll(async () => {
  world = await usersWorld({ clock });
  replica = await usersWorld({ clock, databaseUrl: world.subgraph.databaseUrl });
});
afterAll(async () => {
  await replica.subgraph.stop();
  await world.subgraph.stop();
});
afterEach(() => {
  aheadMs = 0;
});

const countOf = async (table: string): Promise<number> => {
  const { rows } = await world.subgraph.pool.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(rows[0]?.count);
};

describe('login', () => {
  it('an unknown login and a wrong password get the same answer', async () => {
    await world.register('known');
    const unknown = await world.attempt.login('unknown');
    const wrong = await world.attempt.login('known', 'wrong horse battery');
    expect(codeOf(unknown)).toBe('INVALID_CREDENTIALS');
    expect(wrong).toEqual(unknown);
    expect(await world.attempt.login('not a login: at all')).toEqual(unknown);
    expect(await world.attempt.login('known', 'x'.repeat(10_000))).toEqual(unknown);
  });

  it('an unknown login, one that nobody can have, and a wrong password are verified by the same calls', async () => {
    await world.register('same.work');
    const prisma = new PrismaClient({ adapter: new PrismaPg(world.subgraph.pool) });
    const real = createPasswordHasher();
    const calls: string[] = [];
    const sessions = createSessionCommands({
      ...{ prisma, clock: systemClock, logger: silentLogger },
      transactions: createTransactions(prisma, systemClock),
      passwords: {
        hash: real.hash,
        verify: (secret, hash) => {
          calls.push(`verify ${secret}`);
          return real.verify(secret, hash);
        },
      },
      accessTokens: { prepare: () => Promise.reject(new Error('no token is issued')) },
    });
    for (const login of ['same.work', 'nobody', 'no login: at all']) {
      await expect(sessions.login(login, 'wrong horse battery')).rejects.toMatchObject({
        code: 'INVALID_CREDENTIALS',
      });
    }
    expect(calls).toEqual(Array.from({ length: 3 }, () => 'verify wrong horse battery'));
    await prisma.$disconnect();
  });

  it('a request may send one password: with aliases it cannot try several', async () => {
    await world.register('aliases');
    const { data, errors } = await world.subgraph.ask(
      `mutation ($right: String!) {
        one: login(login: "aliases", password: "wrong horse battery") { me { login } }
        two: login(login: "aliases", password: $right) { me { login } }
        three: register(input: { login: "aliases.2", password: $right, name: "Ann" }) { me { login } }
      }`,
      { right: password },
    );
    expect(data).toEqual({ one: null, two: null, three: null });
    expect(errors?.map(({ extensions }) => extensions?.['code'])).toEqual([
      'INVALID_CREDENTIALS',
      'BAD_USER_INPUT',
      'BAD_USER_INPUT',
    ]);
  });

  it('of a hundred logins at once some succeed, and the others are refused with OVERLOADED', async () => {
    await world.register('busy');
    const codes = (await Promise.all(Array.from({ length: 100 }, () => world.attempt.login('busy')))).map(
      codeOf,
    );
    expect(new Set(codes)).toEqual(new Set([undefined, 'OVERLOADED']));
    expect(codes.filter((code) => code === undefined).length).toBeGreaterThanOrEqual(22);
    expect(await world.login('busy')).toHaveProperty('accessToken');
  }, 60_000);

  it('a token is stored nowhere but as a hash', async () => {
    await world.register('stored');
    const { accessToken, refreshToken } = await world.login('stored');
    expect(Buffer.from(refreshToken, 'base64url')).toHaveLength(32);
    const { rows } = await world.subgraph.pool.query<{ text: string }>(
      `SELECT query_to_xml('SELECT * FROM refresh_token', true, false, '')::text
         || query_to_xml('SELECT * FROM session', true, false, '')::text
         || query_to_xml('SELECT * FROM idempotency', true, false, '')::text AS text`,
    );
    expect(rows[0]?.text).toContain('<hash>');
    expect(rows[0]?.text).not.toContain(refreshToken);
    expect(rows[0]?.text).not.toContain(accessToken);
  });
});

describe('refresh', () => {
  it('a refresh token gives the next tokens once, and a second use ends its session', async () => {
    await world.register('reuse');
    const first = await world.login('reuse');
    const other = await world.login('reuse');
    const second = await world.refresh(first.refreshToken);
    const third = await world.refresh(second.refreshToken);
    expect(new Set([first, second, third].map(({ refreshToken }) => refreshToken)).size).toBe(3);
    expect(codeOf(await replica.attempt.refresh(first.refreshToken))).toBe('REFRESH_TOKEN_REUSED');
    for (const { refreshToken } of [first, second, third]) {
      expect(codeOf(await world.attempt.refresh(refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    }
    expect(await world.refresh(other.refreshToken)).toHaveProperty('accessToken');
  });

  it('of two refreshes at once with one token exactly one wins, on two replicas and every time', async () => {
    await world.register('race');
    for (let round = 0; round < 5; round += 1) {
      const { refreshToken } = await world.login('race');
      const answers = await Promise.all([
        world.attempt.refresh(refreshToken),
        replica.attempt.refresh(refreshToken),
      ]);
      expect(answers.map(codeOf).sort()).toEqual(['REFRESH_TOKEN_REUSED', undefined]);
    }
  }, 60_000);

  it('of eight refreshes at once with one token exactly one wins', async () => {
    await world.register('race.of.8');
    const { refreshToken } = await world.login('race.of.8');
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) => (at % 2 ? world : replica).attempt.refresh(refreshToken)),
    );
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1);
  });

  it('a refresh that fails after the token was marked as used leaves the token usable', async () => {
    await world.register('killed');
    const { refreshToken } = await world.login('killed');
    await world.subgraph.pool.query(`
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'killed'; END $$;
      CREATE TRIGGER fail BEFORE INSERT ON refresh_token FOR EACH ROW EXECUTE FUNCTION fail()`);
    expect(codeOf(await world.attempt.refresh(refreshToken))).toBe('INTERNAL_SERVER_ERROR');
    await world.subgraph.pool.query('DROP FUNCTION fail CASCADE');
    expect(await world.refresh(refreshToken)).toHaveProperty('accessToken');
  });

  it.each(['', 'x', 'A'.repeat(43), '\u{1f600}', 'x'.repeat(100_000)])(
    'a refresh token that nobody got is refused with REFRESH_TOKEN_INVALID',
    async (token) => {
      expect(codeOf(await world.attempt.refresh(token))).toBe('REFRESH_TOKEN_INVALID');
    },
  );

  it('a refresh token expires after 30 days, and a session after 90 days however often it is refreshed', async () => {
    await world.register('expiry');
    const unused = await world.login('expiry');
    let tokens = await world.login('expiry');
    for (const days of [29, 58, 87]) {
      aheadMs = days * dayMs;
      tokens = await world.refresh(tokens.refreshToken);
    }
    expect(codeOf(await world.attempt.refresh(unused.refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    expect(Date.parse(tokens.refreshTokenExpiresAt)).toBeLessThan(Date.now() + 90 * dayMs + 1);
    aheadMs = 90 * dayMs + minuteMs;
    expect(codeOf(await world.attempt.refresh(tokens.refreshToken))).toBe('REFRESH_TOKEN_INVALID');
  });

  it('a session that was refreshed has the roles that the account has now', async () => {
    const id = await world.register('roles');
    const { refreshToken, accessToken } = await world.login('roles');
    const scopeOf = (token: string) =>
      (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { scope?: string })
        .scope;
    expect(scopeOf(accessToken)).toBeUndefined();
    await world.subgraph.pool.query(`UPDATE account SET roles = '{ADMIN}' WHERE id = $1`, [id]);
    expect(scopeOf((await world.refresh(refreshToken)).accessToken)).toBe('catalogue:write users:admin');
  });
});

describe('the end of sessions', () => {
  it('logout ends the session of any of its tokens, and is harmless when it is repeated', async () => {
    await world.register('logout');
    const [one, other] = [await world.login('logout'), await world.login('logout')];
    const next = await world.refresh(one.refreshToken);
    expect((await world.attempt.logout(one.refreshToken)).data).toEqual({ logout: { ended: true } });
    expect((await world.attempt.logout(one.refreshToken)).data).toEqual({ logout: { ended: false } });
    expect((await world.attempt.logout('unknown')).data).toEqual({ logout: { ended: false } });
    expect(codeOf(await world.attempt.refresh(next.refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    expect(await world.refresh(other.refreshToken)).toHaveProperty('accessToken');
  });

  it('logoutEverywhere ends all sessions of the viewer and no other ones', async () => {
    const id = await world.register('everywhere');
    await world.register('bystander');
    const mine = [await world.login('everywhere'), await world.login('everywhere')];
    const others = await world.login('bystander');
    expect((await world.attempt.logoutEverywhere(id, 'key')).data).toEqual({
      logoutEverywhere: { endedSessions: 2 },
    });
    for (const { refreshToken } of mine)
      expect(codeOf(await world.attempt.refresh(refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    expect(await world.refresh(others.refreshToken)).toHaveProperty('accessToken');
    const again = await world.login('everywhere');
    // The stored answer; the new session stays.
    expect((await world.attempt.logoutEverywhere(id, 'key')).data).toEqual({
      logoutEverywhere: { endedSessions: 2 },
    });
    expect(await world.refresh(again.refreshToken)).toHaveProperty('accessToken');
  });

  it('changePassword needs the present password, ends all sessions, and the old password is of no use', async () => {
    const id = await world.register('change');
    const { refreshToken } = await world.login('change');
    const next = 'another horse battery';
    expect(codeOf(await world.attempt.changePassword(id, 'wrong horse battery', next, 'k'))).toBe(
      'INVALID_CREDENTIALS',
    );
    expect(codeOf(await world.attempt.changePassword(id, password, 'too short', 'k'))).toBe('BAD_USER_INPUT');
    const changed = await world.attempt.changePassword(id, password, next, 'k');
    expect(changed.data).toEqual({ changePassword: { endedSessions: 1 } });
    expect(codeOf(await world.attempt.refresh(refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    expect(codeOf(await world.attempt.login('change'))).toBe('INVALID_CREDENTIALS');
    expect(await world.login('change', next)).toHaveProperty('accessToken');
    // A repeat after a lost response gets the stored answer, although the password is another one now.
    expect(await world.attempt.changePassword(id, password, next, 'k')).toEqual(changed);
  });

  it('logins with the old password while it is changed leave no session', async () => {
    const id = await world.register('overtaken');
    const [changed, ...logins] = await Promise.all([
      world.attempt.changePassword(id, password, 'another horse battery'),
      ...Array.from({ length: 6 }, () => replica.attempt.login('overtaken')),
    ]);
    expect(changed.errors).toBeUndefined();
    const { rows } = await world.subgraph.pool.query('SELECT FROM session WHERE account_id = $1', [id]);
    expect(rows).toEqual([]);
    for (const answer of logins) expect([undefined, 'INVALID_CREDENTIALS']).toContain(codeOf(answer));
  }, 60_000);

  it('expired tokens and sessions are deleted when the service starts', async () => {
    await world.register('pruned');
    await world.login('pruned');
    expect(await countOf('session')).toBeGreaterThan(0);
    aheadMs = 91 * dayMs;
    const later = await usersWorld({ clock, databaseUrl: world.subgraph.databaseUrl });
    await until(async () => (await countOf('session')) + (await countOf('refresh_token')) === 0);
    await later.subgraph.stop();
  });
});
