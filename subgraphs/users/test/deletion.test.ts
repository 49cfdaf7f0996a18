import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { backfill } from '@cinegraph/messaging/outbox/backfill';
import { deletionBackfill } from '../src/backfill.js';
import { codeOf, password, usersWorld } from './world.js';

let world: Awaited<ReturnType<typeof usersWorld>>;
beforeAll(async () => {
  world = await usersWorld();
});
afterAll(() => world.subgraph.stop());

const published = async () => {
  const { rows } = await world.subgraph.pool.query(
    'SELECT type, version, topic, key, payload FROM messaging.outbox ORDER BY position',
  );
  return rows as readonly object[];
};

/** Returns every row of the database as one text. */
const everything = async (): Promise<string> => {
  const { rows } = await world.subgraph.pool.query<{ text: string }>(
    `SELECT string_agg(query_to_xml(format('SELECT * FROM %I', tablename), true, false, '')::text, '') AS text
     FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_prisma_migrations'`,
  );
  return rows[0]?.text ?? '';
};

describe('deleteAccount', () => {
  it('deleteAccount needs the password, and removes all data of the account but its id', async () => {
    const answer = await world.attempt.register('leaver', { name: 'Leaving Anna', lastName: 'Lee' }, 'key');
    const { id } = (answer.data as { register: { me: { user: { id: string } } } }).register.me.user;
    const { refreshToken } = await world.login('leaver');
    await world.attempt.updateProfile(id, { lastName: 'Leaving Lee' }, 'profile');
    expect(await everything()).toContain('Leaving Anna');
    expect(codeOf(await world.attempt.deleteAccount(id, 'wrong horse battery'))).toBe('INVALID_CREDENTIALS');
    expect((await world.attempt.deleteAccount(id)).data).toEqual({ deleteAccount: { deletedUserId: id } });
    expect(await everything()).not.toMatch(/Leaving|leaver/);
    expect(codeOf(await world.attempt.refresh(refreshToken))).toBe('REFRESH_TOKEN_INVALID');
    expect(codeOf(await world.attempt.login('leaver'))).toBe('INVALID_CREDENTIALS');
    expect(await world.me(id)).toBeNull();
    expect(codeOf(await world.attempt.deleteAccount(id))).toBe('ACCOUNT_NOT_FOUND');
    expect(await published()).toEqual([
      { type: 'UserDeleted', version: 1, topic: 'users.accounts.v1', key: id, payload: { userId: id } },
    ]);
  });

  it('a login is free again after its account was deleted, and the new account has another id', async () => {
    const id = await world.register('again');
    await world.attempt.deleteAccount(id);
    expect(await world.register('again')).not.toBe(id);
  });

  it('deleteAccount that is sent again with its key returns the stored answer, and is published once', async () => {
    const id = await world.register('repeat');
    const before = (await published()).length;
    const first = await world.attempt.deleteAccount(id, password, 'key');
    expect(await world.attempt.deleteAccount(id, password, 'key')).toEqual(first);
    expect(first.errors).toBeUndefined();
    expect(await published()).toHaveLength(before + 1);
  });

  it('of two deletions at once one deletes, and the event is published once', async () => {
    const id = await world.register('parallel');
    const before = (await published()).length;
    const answers = await Promise.all([world.attempt.deleteAccount(id), world.attempt.deleteAccount(id)]);
    expect(answers.map(codeOf).sort()).toEqual(['ACCOUNT_NOT_FOUND', undefined]);
    expect(await published()).toHaveLength(before + 1);
  });

  it('a backfill publishes every deletion again', async () => {
    const { rows } = await world.subgraph.pool.query('SELECT FROM deleted_account');
    const before = (await published()).length;
    expect(rows.length).toBeGreaterThan(0);
    expect(await backfill(world.subgraph.pool, deletionBackfill)).toBe(rows.length);
    expect((await published()).length - before).toBe(rows.length);
  });
});
