import { inTransaction } from '@cinegraph/database/transaction';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { writeKnownMovies, type KnownMovie } from '../src/write-known-movies.js';
import { applyEvents } from '../src/write-ratings.js';
import { ratingWorld, retract, submit } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());
beforeEach(() => world.clear(['messaging.outbox', 'idempotency']));

/** Writes ratings of a movie as external events do. */
const consume = (movieId: string, scores: readonly number[], viewer = 'ratings:') =>
  inTransaction(world.subgraph.pool, (tx) =>
    applyEvents(
      tx,
      scores.map((score, at) => ({
        ...{ movieId, viewerId: `${viewer}${at}`, score, review: null, provider: null, trace: null },
        order: { version: 1 },
      })),
      new Date(),
    ),
  );

const writeKnown = (movie: KnownMovie) =>
  inTransaction(world.subgraph.pool, (tx) => writeKnownMovies(tx, [movie]));

const codesOf = (answer: { errors?: readonly { extensions?: Readonly<Record<string, unknown>> }[] }) =>
  answer.errors?.map(({ extensions }) => extensions?.['code']);

const topRated = async () => {
  const { data } = await world.subgraph.ask('{ topRated { nodes { id } } }');
  return (data as { topRated: { nodes: { id: string }[] } }).topRated.nodes.map(({ id }) => id);
};

/** Returns how many votes each published aggregate of the movie had, in order. */
const published = async (movieId: string) =>
  (
    await world.subgraph.pool.query<{ count: number }>(
      `SELECT (payload ->> 'count')::int AS count FROM messaging.outbox_event
       WHERE key = $1 AND type = 'AggregatedRatingChanged' ORDER BY (payload ->> 'version')::int`,
      [movieId],
    )
  ).rows.map(({ count }) => count);

const rowsOf = async () =>
  (
    await world.subgraph.pool.query<{ rows: number }>(`
      SELECT ((SELECT count(*) FROM rating) + (SELECT count(*) FROM aggregated_rating)
        + (SELECT count(*) FROM idempotency) + (SELECT count(*) FROM messaging.outbox))::int AS rows`)
  ).rows[0]?.rows;

describe('ratings of an unknown movie', () => {
  it('ratings of an unknown movie are kept, show once it comes, and hide while it is deleted', async () => {
    await world.rate('ann', 'seen', 9);
    await consume('wrong:1', Array<number>(300).fill(10));
    const listed = async () => {
      const { data } = await world.subgraph.ask(
        `{ _entities(representations: [{ __typename: "Movie", id: "wrong:1" }]) {
           ... on Movie { ratings(first: 1) { nodes { score } totalCount } } } }`,
      );
      return (data as { _entities: { ratings: { nodes: unknown[]; totalCount: number } }[] })._entities[0]
        ?.ratings;
    };
    expect(await topRated()).toEqual(['seen']);
    expect(await world.aggregateOf('wrong:1')).toMatchObject({ average: null, count: 0 });
    expect(await listed()).toEqual({ nodes: [], totalCount: 0 });
    expect(await world.unknown()).toEqual({ movies: 1, ratings: 300 });
    expect(await published('wrong:1')).toEqual([]);

    await world.know('wrong:1');
    expect(await topRated()).toEqual(['wrong:1', 'seen']);
    expect(await world.aggregateOf('wrong:1')).toMatchObject({ average: 10, count: 300 });
    expect(await listed()).toEqual({ nodes: [{ score: 10 }], totalCount: 300 });
    expect(await world.unknown()).toEqual({ movies: 0, ratings: 0 });

    await world.remove('wrong:1');
    expect(await topRated()).toEqual(['seen']);
    expect(await world.aggregateOf('wrong:1')).toMatchObject({ average: null, count: 0 });
    // An older event that arrives late.
    await world.know('wrong:1');
    expect(await topRated()).toEqual(['seen']);
    expect(await published('wrong:1')).toEqual([300, 0]);
  });

  it('ratings of a movie that is deleted and created again show again', async () => {
    await consume('again', [4, 6]);
    await world.know('again');
    await world.remove('again');
    await writeKnown({ movie: 'again', version: 3, deleted: false });
    expect(await world.aggregateOf('again')).toMatchObject({ average: 5, count: 2 });
    expect(await published('again')).toEqual([2, 0, 2]);
  });

  it('ratings that are written at the same time as their movie comes are all counted', async () => {
    const movies = Array.from({ length: 40 }, (_, at) => `race:${at}`);
    await Promise.all(
      movies.flatMap((movie, at) => {
        const writes = [
          () => consume(movie, [3, 8], 'a:'),
          () => world.know(movie),
          () => consume(movie, [7], 'b:'),
        ];
        return (at % 2 ? writes : writes.toReversed()).map((write) => write());
      }),
    );
    const aggregates = await Promise.all(movies.map((movie) => world.aggregateOf(movie)));
    expect(aggregates.map(({ count, average }) => [count, average])).toEqual(movies.map(() => [3, 6]));
    expect(await world.unknown()).toEqual({ movies: 0, ratings: 0 });
    for (const movie of movies) expect((await published(movie)).at(-1)).toBe(3);
    expect(await world.drift()).toEqual([]);
  });
});

describe('a mutation for a movie that is not known', () => {
  it('a mutation for a movie that never comes is refused, writes nothing, and keeps no idempotency key', async () => {
    const variables = { movieId: 'nowhere', score: 7, key: 'k' };
    const [submitted, keyed, retracted] = await Promise.all([
      world.subgraph.ask(submit, { movieId: 'nowhere', score: 7 }, { viewer: 'ann' }),
      world.subgraph.ask(submit, variables, { viewer: 'bob' }),
      world.subgraph.ask(retract, { movieId: 'nowhere' }, { viewer: 'ann' }),
    ]);
    for (const answer of [submitted, keyed, retracted]) expect(codesOf(answer)).toEqual(['MOVIE_NOT_FOUND']);
    expect(await rowsOf()).toBe(0);
    await world.know('nowhere');
    const again = await world.subgraph.ask(submit, variables, { viewer: 'bob' });
    expect(again.errors).toBeUndefined();
    expect(await world.subgraph.ask(submit, variables, { viewer: 'bob' })).toEqual(again);
    expect(await world.aggregateOf('nowhere')).toMatchObject({ count: 1, average: 7 });
  });

  it('a mutation waits until the event of its movie arrives, and other mutations do not wait for it', async () => {
    await world.know('here');
    const order: string[] = [];
    const waiting = world.subgraph
      .ask(submit, { movieId: 'created', score: 7, key: 'k' }, { viewer: 'ann' })
      .finally(() => order.push('created'));
    for (const viewer of ['ann', 'bob']) await world.rate(viewer, 'here', 5);
    order.push('here');
    await world.know('created');
    const { data, errors } = await waiting;
    expect(errors).toBeUndefined();
    expect(data).toMatchObject({ submitRating: { movie: { aggregatedRating: { count: 1, average: 7 } } } });
    expect(order).toEqual(['here', 'created']);
  });

  it.each(['', 'x'.repeat(201), 'a\u0007b', 'a\u200bb', ' a', 'a\n'])(
    'a mutation for the id %j, which no movie can have, is refused at once',
    async (movieId) => {
      const answer = await world.subgraph.ask(submit, { movieId, score: 7 }, { viewer: 'ann' });
      expect(codesOf(answer)).toEqual(['BAD_USER_INPUT']);
      expect(await rowsOf()).toBe(0);
    },
  );
});

describe('retractRating without a movie to show', () => {
  it('retractRating of a deleted movie retracts the rating, and returns no movie', async () => {
    await world.rate('ann', 'gone', 7);
    await world.remove('gone');
    const { data } = await world.subgraph.ask(retract, { movieId: 'gone' }, { viewer: 'ann' });
    expect(data).toEqual({ retractRating: { retracted: true, movie: null } });
    expect(
      codesOf(await world.subgraph.ask(submit, { movieId: 'gone', score: 7 }, { viewer: 'ann' })),
    ).toEqual(['MOVIE_DELETED']);
    expect(await world.drift()).toEqual([]);
  });

  it('retractRating of an unknown movie retracts a rating that is stored for it', async () => {
    await consume('lost', [7], 'ann');
    const { data } = await world.subgraph.ask(retract, { movieId: 'lost' }, { viewer: 'ann0' });
    expect(data).toEqual({ retractRating: { retracted: true, movie: null } });
    expect(await world.unknown()).toEqual({ movies: 0, ratings: 0 });
  });

  it('myRatings lists a rating of a deleted movie without the movie', async () => {
    await world.rate('ann', 'kept', 7);
    await world.rate('ann', 'gone', 6);
    await world.remove('gone');
    const { data } = await world.subgraph.ask(
      '{ myRatings { nodes { score movie { id } } } }',
      {},
      { viewer: 'ann' },
    );
    expect(data).toEqual({
      myRatings: {
        nodes: [
          { score: 6, movie: null },
          { score: 7, movie: { id: 'kept' } },
        ],
      },
    });
  });
});
