import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import type { GraphQLAnswer } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { startTestGraph, type TestGraph } from '../support/graph.js';
import { know } from '../support/known-movies.js';

const password = 'correct horse battery';

let events: TestDatabase;
let graph: TestGraph;
beforeAll(async () => {
  events = await testDatabase({ name: 'events', migrations: [brokerMigrations] });
  graph = await startTestGraph({ broker: { url: events.url } });
  await know(graph.subgraphs.rating.pool, ['test:1']);
  await graph.subgraphs.metadata.pool.query(
    `INSERT INTO movie (id, title, version, created_at, updated_at) VALUES ('test:1', 'Film', 1, now(), now())`,
  );
});
afterAll(async () => {
  await graph.stop();
  await events.drop();
});

const dataOf = async (asked: Promise<GraphQLAnswer>): Promise<Record<string, unknown>> => {
  const { data, errors } = await asked;
  if (errors) throw new Error(JSON.stringify(errors));
  return data ?? {};
};

const register = async (login: string, name: string): Promise<string> => {
  const input = { login, password, name };
  const { register: answer } = await dataOf(
    graph.ask('mutation ($input: RegisterInput!) { register(input: $input) { me { user { id } } } }', {
      input,
    }),
  );
  return (answer as { me: { user: { id: string } } }).me.user.id;
};

const rate = (viewer: string, score: number) =>
  dataOf(
    graph.subgraphs.rating.ask(
      'mutation ($score: Score!) { submitRating(movieId: "test:1", score: $score) { rating { score } } }',
      { score },
      { viewer },
    ),
  );

const readMovie = () =>
  dataOf(
    graph.ask(
      '{ movie(id: "test:1") { aggregatedRating { average count } ratings { nodes { score user { id name } } } } }',
    ),
  );

describe('an account and its ratings', () => {
  it('a rating shows the public name of its user, in one fetch for all, and deleteAccount removes it with its user', async () => {
    const ann = await register('ann', 'Ann');
    const bob = await register('bob', 'Bob');
    await rate('movielens:7', 4);
    await rate(bob, 6);
    await rate(ann, 10);
    const fetches = await graph.fetchesDuring(async () => {
      expect(await readMovie()).toEqual({
        movie: {
          aggregatedRating: { average: 20 / 3, count: 3 },
          ratings: {
            nodes: [
              { score: 10, user: { id: ann, name: 'Ann' } },
              { score: 6, user: { id: bob, name: 'Bob' } },
              { score: 4, user: null },
            ],
          },
        },
      });
    });
    expect(fetches.filter((name) => name === 'users')).toHaveLength(1);

    const { deleteAccount } = await dataOf(
      graph.subgraphs.users.ask(
        'mutation ($password: String!) { deleteAccount(password: $password) { deletedUserId } }',
        { password },
        { viewer: ann },
      ),
    );
    expect(deleteAccount).toEqual({ deletedUserId: ann });
    // The event takes its time; the votes of others stay.
    await until(async () => {
      const { movie } = (await readMovie()) as { movie: { aggregatedRating: { count: number } } };
      return movie.aggregatedRating.count === 2;
    }, 'the rating of the deleted account is removed');
    expect(await readMovie()).toEqual({
      movie: {
        aggregatedRating: { average: 5, count: 2 },
        ratings: {
          nodes: [
            { score: 6, user: { id: bob, name: 'Bob' } },
            { score: 4, user: null },
          ],
        },
      },
    });
    expect(
      (await graph.subgraphs.rating.pool.query('SELECT FROM rating WHERE viewer_id = $1', [ann])).rows,
    ).toEqual([]);
  });

  it('while users is down, ratings are read without the names of their users', async () => {
    const eve = await register('eve', 'Eve');
    await rate(eve, 1);
    await graph.subgraphs.users.stop();
    const { data, errors } = await graph.ask(
      '{ movie(id: "test:1") { ratings(first: 1) { nodes { score user { id name } } } } }',
    );
    expect(data).toEqual({
      movie: { ratings: { nodes: [{ score: 1, user: { id: eve, name: null } }] } },
    });
    expect(errors?.[0]?.extensions?.['code']).toBe('SUBGRAPH_UNAVAILABLE');
  });
});
