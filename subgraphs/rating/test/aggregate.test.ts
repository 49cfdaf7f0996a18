import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { entities, ratingWorld, requestStatements } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

/**
 * Writes votes without the commands, which is much faster.
 */
const fill = (movie: string, votes: number, score: number) =>
  world.subgraph.pool.query(
    `WITH voted AS (
       INSERT INTO rating (movie_id, viewer_id, score, origin, created_at, updated_at)
       SELECT $1, 'filler:' || n, $3::smallint, 'test', now(), now() FROM generate_series(1, $2::int) n
       RETURNING score)
     INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s${score})
     SELECT $1, 'known', sum(score), count(*), count(*) FROM voted`,
    [movie, votes, score],
  );

describe('an aggregated rating', () => {
  it('the aggregate of a movie that nobody rated has no average, count 0 and ten empty scores', async () => {
    expect(await world.aggregateOf('nobody-rated-this')).toEqual({
      average: null,
      count: 0,
      histogram: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((score) => ({ score, count: 0 })),
    });
  });

  it('the aggregate is exact after 100 fives and 1,000 nines, and after a one and 1,000 tens', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, n) => world.rate(`f${n}`, 'fives', 5)));
    await Promise.all(Array.from({ length: 1000 }, (_, n) => world.rate(`n${n}`, 'fives', 9)));
    expect(await world.aggregateOf('fives')).toMatchObject({ average: 9500 / 1100, count: 1100 });
    await world.rate('one', 'tens', 1);
    await Promise.all(Array.from({ length: 1000 }, (_, n) => world.rate(`t${n}`, 'tens', 10)));
    expect(await world.aggregateOf('tens')).toMatchObject({ average: 10_001 / 1001, count: 1001 });
  });

  it('the average of a movie with only tens is exactly 10', async () => {
    for (const viewer of ['a', 'b', 'c']) await world.rate(viewer, 'all-tens', 10);
    expect(await world.aggregateOf('all-tens')).toMatchObject({ average: 10, count: 3 });
  });

  it('the aggregate is read by index and costs the same at 100,000 ratings as at ten', async () => {
    await fill('few', 10, 7);
    await fill('many', 100_000, 7);
    await world.subgraph.pool.query('ANALYZE aggregated_rating, rating');
    const [statement = ''] = await requestStatements(() => world.aggregateOf('many'));
    const readBuffers = async (movie: string) => {
      const { rows } = await world.subgraph.pool.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`,
        [[movie]],
      );
      const plan = rows[0]?.['QUERY PLAN'][0].Plan;
      return (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0);
    };
    await readBuffers('many');
    const few = await readBuffers('few');
    expect(few).toBeGreaterThan(0);
    expect(Math.abs((await readBuffers('many')) - few)).toBeLessThanOrEqual(2);
  });

  it('the aggregates of a hundred movies are read by one SQL statement', async () => {
    const ids = Array.from({ length: 100 }, (_, n) => ({ __typename: 'Movie', id: `movie ${n}` }));
    const statements = await requestStatements(async () => {
      await world.subgraph.ask(entities, { ids });
    });
    expect(statements).toHaveLength(1);
    expect(statements[0]).toContain('FROM aggregated_rating');
  });

  it('the aggregate always equals a recomputation, whatever is rated, changed and retracted', async () => {
    // mulberry32 with a fixed seed, so that a failure can be repeated.
    const seed = 20_261_121;
    let state = seed;
    const random = (below: number) => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) % below;
    };
    const expected = new Map<string, number>();
    for (let round = 0; round < 12; round += 1) {
      const steps = new Map<string, () => Promise<unknown>>();
      for (let step = 0; step < 25; step += 1) {
        const [movie, viewer] = [`p${random(4)}`, `v${random(6)}`];
        const id = `${movie} ${viewer}`;
        if (steps.has(id)) continue;
        const score = random(11);
        if (score === 0) expected.delete(id);
        else expected.set(id, score);
        steps.set(id, () => (score === 0 ? world.retract(viewer, movie) : world.rate(viewer, movie, score)));
      }
      await Promise.all([...steps.values()].map((step) => step()));
      for (const movie of ['p0', 'p1', 'p2', 'p3']) {
        const scores = [...expected].flatMap(([id, score]) => (id.startsWith(movie) ? [score] : []));
        const { average, count, histogram } = await world.aggregateOf(movie);
        expect({ seed, count }).toEqual({ seed, count: scores.length });
        expect(average).toBe(
          scores.length === 0 ? null : scores.reduce((sum, score) => sum + score, 0) / scores.length,
        );
        expect(histogram.reduce((sum, entry) => sum + entry.count, 0)).toBe(count);
      }
    }
  });
});

interface Plan {
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
}
