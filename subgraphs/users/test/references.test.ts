import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { statementsDuring } from '@cinegraph/testing/subgraph';
import { codeOf, usersWorld } from './world.js';

let world: Awaited<ReturnType<typeof usersWorld>>;
beforeAll(async () => {
  world = await usersWorld();
});
afterAll(() => world.subgraph.stop());

const entities = (fields: string, ids: readonly unknown[]) =>
  world.subgraph.ask(
    `query ($users: [_Any!]!) { _entities(representations: $users) { ... on User { ${fields} } } }`,
    { users: ids.map((id) => ({ __typename: 'User', id })) },
  );

describe('references of users', () => {
  it('the names of all users of a request are one statement, and an unknown user is null', async () => {
    const ids = [await world.register('one', { name: 'One' }), await world.register('two', { name: 'Two' })];
    const answers: unknown[] = [];
    const statements = await statementsDuring(async () => {
      answers.push(await entities('id name', [...ids, 'sample:1', ...ids]));
    });
    expect(answers).toEqual([
      {
        status: 200,
        data: {
          _entities: [
            { id: ids[0], name: 'One' },
            { id: ids[1], name: 'Two' },
            null,
            { id: ids[0], name: 'One' },
            { id: ids[1], name: 'Two' },
          ],
        },
      },
    ]);
    expect(statements).toHaveLength(1);
  });

  it('an id that is no string is refused', async () => {
    expect(codeOf(await entities('name', [{ not: null }]))).toBe('BAD_USER_INPUT');
  });

  it.each(['login', 'lastName', 'roles', 'passwordHash'])('everybody sees no %s of a user', async (field) => {
    expect(codeOf(await entities(field, []))).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});
