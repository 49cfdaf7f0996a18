import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { findMovieList } from '../src/queries/movie-list.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
  // Movies of the genre `old` were released before 1975, and those of `any` in each year.
  await subgraph.pool.query(`
    WITH movies AS (
      INSERT INTO movie (id, title, release_year, created_at, updated_at)
      SELECT 'gen:' || n, md5(n::text), 1925 + n % 100, now(), now() FROM generate_series(1, 20000) AS n),
    genres AS (INSERT INTO genre (id, name) VALUES ('old', 'Old'), ('any', 'Any'))
    INSERT INTO movie_genre (movie_id, genre_id)
    SELECT 'gen:' || n, genre FROM generate_series(1, 20000) AS n, unnest(ARRAY['old', 'any']) AS genre
    WHERE genre = 'any' OR n % 100 < 50`);
  await subgraph.pool.query('VACUUM ANALYZE movie, genre, movie_genre');
}, 60_000);
afterAll(() => subgraph.stop());

/** Returns the plan of a page of 20 movies in order of title, as it was executed, and the pages it read. */
const executed = async (genre: string) => {
  let plan = '';
  const explaining = {
    query: async ({ text, values }: pg.QueryConfig) => {
      const { rows } = await subgraph.pool.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) ${text}`,
        values,
      );
      plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      return { rows: [] };
    },
  };
  const filter = { genre, releaseYear: { from: 1990, to: 1999 } };
  const page = { size: 20, cursor: null, backward: false };
  await findMovieList(explaining as unknown as pg.Pool, filter, 'TITLE_ASC', page);
  const [, hit, , read] = /Buffers: shared(?: hit=(\d+))?( read=(\d+))?/.exec(plan) ?? [];
  return { plan, buffers: Number(hit ?? 0) + Number(read ?? 0) };
};

describe('a list of movies of a genre and of years, among 20,000', () => {
  it('the index of the order is not read if no movie matches both', async () => {
    const { plan, buffers } = await executed('old');
    expect(plan).toMatch(/never executed[^]*movie_by_title|movie_by_title[^\n]*never executed/);
    // Read to its end, the index leads to each of the 20,000 movies.
    expect(buffers).toBeLessThan(2_000);
  });

  it('the index of the order gives the page if many movies match', async () => {
    const { plan, buffers } = await executed('any');
    expect(plan).toMatch(/movie_by_title on movie m \(actual/);
    expect(buffers).toBeLessThan(10_000);
  });
});
