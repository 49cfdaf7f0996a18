import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { codeOf, password, usersWorld } from './world.js';

let world: Awaited<ReturnType<typeof usersWorld>>;
beforeAll(async () => {
  world = await usersWorld();
});
afterAll(() => world.subgraph.stop());

describe('register', () => {
  it('register opens an account, whose login is stored in lower case and seen by its owner alone', async () => {
    const { data, errors } = await world.attempt.register('Ann.Lee@example.org', {
      name: '  Ann ',
      lastName: 'Lee',
    });
    expect(errors).toBeUndefined();
    const { me } = (data as { register: { me: { user: { id: string } } } }).register;
    const { id } = me.user;
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(me).toMatchObject({ login: 'ann.lee@example.org', name: 'Ann', lastName: 'Lee', roles: ['USER'] });
    expect(await world.me(id)).toMatchObject({ user: { id, name: 'Ann' }, login: 'ann.lee@example.org' });
    const { data: seen } = await world.subgraph.ask(
      'query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on User { id name } } }',
      { ids: [{ __typename: 'User', id }] },
      { viewer: 'somebody else' },
    );
    expect(seen).toEqual({ _entities: [{ id, name: 'Ann' }] });
  });

  it('register refuses a login that somebody has, in whatever case', async () => {
    await world.register('taken');
    expect(codeOf(await world.attempt.register('TAKEN'))).toBe('LOGIN_TAKEN');
  });

  it('of two registrations of a login at once exactly one opens an account', async () => {
    const answers = await Promise.all([world.attempt.register('twice'), world.attempt.register('twice')]);
    expect(answers.map(codeOf).sort()).toEqual(['LOGIN_TAKEN', undefined]);
  });

  it('a password is stored as a hash with its parameters and a salt of its own', async () => {
    const ids = [await world.register('hash.1'), await world.register('hash.2')];
    const { rows } = await world.subgraph.pool.query<{ hash: string }>(
      'SELECT password_hash AS hash FROM account WHERE id = ANY ($1)',
      [ids],
    );
    expect(rows).toHaveLength(2);
    for (const { hash } of rows) expect(hash).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[\w+/]{22}\$[\w+/]{43}$/);
    expect(new Set(rows.map(({ hash }) => hash)).size).toBe(2);
  });

  it.each([
    ['a login that is too short', { login: 'ab' }],
    ['a login that is too long', { login: 'a'.repeat(65) }],
    ['a login with a colon', { login: 'ann:lee' }],
    ['a login with a letter that is not ASCII', { login: 'ännchen' }],
    ['a login with a letter that becomes ASCII in lower case', { login: 'mar\u212a' }],
    ['a password of eleven characters', { password: 'x'.repeat(11) }],
    ['a password of 129 characters', { password: '\u{1f600}'.repeat(129) }],
    ['a password of a megabyte', { password: 'x'.repeat(900_000) }],
    ['the login as password', { login: 'long.login.of.ann', password: 'LONG.login.of.ann' }],
    ['an empty name', { name: '   ' }],
    ['a name of 101 characters', { name: 'x'.repeat(101) }],
    ['a name with a line break', { name: 'Ann\nLee' }],
    ['an empty last name', { lastName: '' }],
  ])('register refuses %s with BAD_USER_INPUT', async (_case, input) => {
    expect(codeOf(await world.attempt.register('refused', input))).toBe('BAD_USER_INPUT');
  });

  it('register accepts a password of 128 characters outside ASCII, typed with other code points, too', async () => {
    await world.register('unicode', { password: 'é'.repeat(128) });
    expect(await world.login('unicode', 'é'.repeat(128))).toHaveProperty('accessToken');
    await world.register('composed', { password: `caf\u00e9 caf\u00e9 caf\u00e9` });
    expect(await world.login('composed', `cafe\u0301 cafe\u0301 cafe\u0301`)).toHaveProperty('accessToken');
  });

  it('an input with a field that the schema does not have is not executed', async () => {
    const answer = await world.attempt.register('fields', { roles: ['ADMIN'] });
    expect(codeOf(answer)).toBe('BAD_USER_INPUT');
    expect(answer.errors?.[0]?.message).toContain('"roles"');
  });

  it('register that is sent again with its key returns the stored account, and stores nothing of the password', async () => {
    const first = await world.attempt.register('keyed', {}, 'key-1');
    const again = await world.attempt.register('keyed', {}, 'key-1');
    expect(again).toEqual(first);
    expect(again.errors).toBeUndefined();
    expect(codeOf(await world.attempt.register('keyed', { name: 'Bob' }, 'key-1'))).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    const { rows } = await world.subgraph.pool.query<{ row: string }>(
      'SELECT i::text AS row FROM idempotency AS i',
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { row } of rows) expect(row).not.toContain(password);
  });
});

describe('me', () => {
  it('me is refused for nobody, and null for a viewer without an account', async () => {
    const refused = await world.subgraph.ask('{ me { login } }');
    expect(refused.data).toEqual({ me: null });
    expect(codeOf(refused)).toBe('UNAUTHENTICATED');
    expect(await world.me('movielens:1')).toBeNull();
  });

  it('a response with me is never stored by a cache', async () => {
    const id = await world.register('cache');
    const sign = createIdentitySigner(testSubgraphKey, 'users', systemClock);
    const response = await fetch(`${world.subgraph.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [identityHeader]: sign({ id, scopes: [] }),
      },
      body: JSON.stringify({ query: '{ me { user { name } } }' }),
    });
    expect(await response.json()).toEqual({ data: { me: { user: { name: 'Ann' } } } });
    expect(response.headers.get('cache-control')).toBe('private, no-store');
  });
});

describe('updateProfile', () => {
  it('updateProfile changes what it names and removes a last name that is null', async () => {
    const id = await world.register('profile', { lastName: 'Lee' });
    const { data } = await world.attempt.updateProfile(id, { name: 'Anna' });
    expect(data).toEqual({ updateProfile: { me: { name: 'Anna', lastName: 'Lee' } } });
    expect((await world.attempt.updateProfile(id, { lastName: null })).data).toEqual({
      updateProfile: { me: { name: 'Anna', lastName: null } },
    });
    expect(codeOf(await world.attempt.updateProfile(id, { name: null }))).toBe('BAD_USER_INPUT');
  });

  it.each(['updateProfile', 'logoutEverywhere', 'changePassword', 'deleteAccount'] as const)(
    '%s needs a viewer, and but for logoutEverywhere one with an account',
    async (name) => {
      const ask = (viewer?: string) =>
        world.subgraph.ask(
          {
            updateProfile: 'mutation { updateProfile(input: { name: "A" }) { me { name } } }',
            logoutEverywhere: 'mutation { logoutEverywhere { endedSessions } }',
            changePassword:
              'mutation { changePassword(currentPassword: "a", newPassword: "abcdefghijkl") { endedSessions } }',
            deleteAccount: 'mutation { deleteAccount(password: "a") { deletedUserId } }',
          }[name],
          {},
          viewer === undefined ? {} : { viewer },
        );
      expect(codeOf(await ask())).toBe('UNAUTHENTICATED');
      expect(codeOf(await ask('sample:1'))).toBe(
        name === 'logoutEverywhere' ? undefined : 'ACCOUNT_NOT_FOUND',
      );
    },
  );
});
