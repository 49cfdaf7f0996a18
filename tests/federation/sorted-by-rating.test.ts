import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { until } from '@cinegraph/testing/until';
import { bearerOf } from '@cinegraph/testing/tokens';
import { startTestGraph, type TestGraph } from '../support/graph.js';
import { know } from '../support/known-movies.js';

let events: TestDatabase;
let graph: TestGraph;
beforeAll(async () => {
  events = await testDatabase({ name: 'events', migrations: [brokerMigrations] });
  graph = await startTestGraph({ broker: { url: events.url } });
  await know(graph.subgraphs.rating.pool, ['test:1', 'test:2', 'test:3']);
  await graph.subgraphs.metadata.pool.query(
    `INSERT INTO movie (id, title, version, created_at, updated_at)
     SELECT 'test:' || n, 'Film ' || n, 1, now(), now() FROM generate_series(1, 3) AS n`,
  );
});
afterAll(async () => {
  await graph.stop();
  await events.drop();
});

describe('movies by rating', () => {
  const best = async (filter: object = {}) => {
    const { data, errors } = await graph.ask(
      `query ($filter: MovieFilter) {
         movies(sort: AVERAGE_RATING_DESC, filter: $filter) { nodes { id aggregatedRating { average } } totalCount }
       }`,
      { filter },
    );
    expect(errors).toBeUndefined();
    return data?.['movies'];
  };
  const rate = (movieId: string, score: number) =>
    graph.ask(
      'mutation ($movieId: ID!, $score: Score!) { submitRating(movieId: $movieId, score: $score) { rating { score } } }',
      { movieId, score },
      bearerOf('ann'),
    );

  it('a vote changes the order of the movies and what a filter finds, and a retracted one changes it back', async () => {
    for (const [id, score] of [
      ['test:1', 5],
      ['test:2', 7],
    ] as const) {
      expect((await rate(id, score)).errors).toBeUndefined();
    }
    const ids = async (filter: object = {}) =>
      ((await best(filter)) as { nodes: { id: string }[] }).nodes.map(({ id }) => id).join();
    const isRated = { ratingCount: { from: 1 } };
    await until(
      async () => (await ids(isRated)) === 'test:2,test:1',
      'both votes show, the better one first',
    );
    expect(await ids()).toBe('test:2,test:1,test:3');
    await rate('test:1', 9);
    await until(async () => (await ids(isRated)) === 'test:1,test:2', 'the new vote shows');
    expect(await best({ averageRating: { from: 8 } })).toEqual({
      nodes: [{ id: 'test:1', aggregatedRating: { average: 9 } }],
      totalCount: 1,
    });
    await graph.ask('mutation { retractRating(movieId: "test:1") { retracted } }', {}, bearerOf('ann'));
    await until(async () => (await ids(isRated)) === 'test:2', 'the vote is gone');
  });
});
