import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import { expect } from '@jest/globals';
import { catalogue } from '../../src/import/vega.js';
import { metadata } from '../../src/subgraph.js';

export interface MoviePage {
  readonly edges: readonly {
    readonly cursor: string;
    readonly node: { readonly id: string; readonly title: string };
  }[];
  readonly nodes: readonly { readonly id: string; readonly title: string }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  readonly totalCount: number;
}

export const moviesQuery = `
  query ($filter: MovieFilter, $sort: MovieSort! = TITLE_ASC, $first: Int, $after: String, $last: Int, $before: String) {
    movies(filter: $filter, sort: $sort, first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id title } } nodes { id title } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;

/** The fields that a walk through all pages needs. */
const walkQuery = moviesQuery.replace(/edges .* totalCount/, 'nodes { id }');

/** Each sort order in plain SQL. */
export const orders = {
  TITLE_ASC: 'lower(title) COLLATE "C", id COLLATE "C"',
  TITLE_DESC: 'lower(title) COLLATE "C" DESC, id COLLATE "C" DESC',
  RELEASE_DATE_ASC: 'coalesce(release_date, make_date(release_year, 1, 1)) NULLS LAST, id COLLATE "C"',
  RELEASE_DATE_DESC:
    'coalesce(release_date, make_date(release_year, 1, 1)) DESC NULLS LAST, id COLLATE "C" DESC',
  RUNTIME_ASC: 'runtime_minutes NULLS LAST, id COLLATE "C"',
  RUNTIME_DESC: 'runtime_minutes DESC NULLS LAST, id COLLATE "C" DESC',
  CREATED_AT_ASC: 'created_at, id COLLATE "C"',
  CREATED_AT_DESC: 'created_at DESC, id COLLATE "C" DESC',
  AVERAGE_RATING_ASC: 'total::float8 / nullif(ratings, 0) NULLS LAST, id COLLATE "C"',
  AVERAGE_RATING_DESC: 'total::float8 / nullif(ratings, 0) DESC NULLS LAST, id COLLATE "C" DESC',
  RATING_COUNT_ASC: 'ratings, id COLLATE "C"',
  RATING_COUNT_DESC: 'ratings DESC, id COLLATE "C" DESC',
  WEIGHTED_SCORE_ASC: '(50 * 6.5::float8 + total) / (50 + nullif(ratings, 0)) NULLS LAST, id COLLATE "C"',
  WEIGHTED_SCORE_DESC:
    '(50 * 6.5::float8 + total) / (50 + nullif(ratings, 0)) DESC NULLS LAST, id COLLATE "C" DESC',
} as const;

/**
 * Starts metadata with the default catalogue, two deleted movies, many equal creation times, and movies
 * without a release date, a year or ratings. Returns functions that read pages and
 * functions that read the tables.
 */
export const startMoviePages = async () => {
  const subgraph = await startTestSubgraph(metadata);
  await importInto(catalogue, subgraph.pool);
  await subgraph.pool.query('UPDATE movie SET deleted_at = now() WHERE id IN ($1, $2)', [
    'vega:10',
    'vega:20',
  ]);
  // Many creation times are equal, many are not; some movies have only a year, and some not even that.
  await subgraph.pool.query(`
    UPDATE movie SET created_at = '2020-01-01T00:00:00.123Z'::timestamptz + (hashtext(id) % 40) * interval '1 ms',
      release_date = CASE WHEN hashtext(id) % 50 = 0 THEN NULL ELSE release_date END,
      release_year = CASE WHEN hashtext(id) % 100 = 0 THEN NULL ELSE release_year END
    WHERE hashtext(id) % 100 <> 0 OR hashtext(id) % 50 = 0`);
  // Some movies have no ratings, and many have equal averages.
  await subgraph.pool.query(`
    UPDATE movie_rating SET version = 1, count = n, sum = n + abs(hashtext(movie_id || 'sum')) % (9 * n + 1)
    FROM (SELECT movie_id AS id, abs(hashtext(movie_id)) % 7 AS n FROM movie_rating) AS drawn
    WHERE movie_id = drawn.id`);
  await subgraph.pool.query('ANALYZE');

  const ask = async (variables: Record<string, unknown> = {}, query = moviesQuery): Promise<MoviePage> => {
    const { data, errors } = await subgraph.ask(query, variables);
    expect(errors).toBeUndefined();
    return data?.['movies'] as MoviePage;
  };

  const refusalOf = async (variables: Record<string, unknown>, query = moviesQuery) => {
    const { data, errors } = await subgraph.ask(query, variables);
    for (const field of Object.values(data ?? {})) expect(field).toBeNull();
    return errors?.[0]?.extensions?.['code'];
  };

  const walk = async (variables: Record<string, unknown>, backward: boolean) => {
    const ids: string[] = [];
    let cursor: string | null = null;
    for (;;) {
      const page: MoviePage = await ask(
        { ...variables, ...(backward ? { last: 97, before: cursor } : { first: 97, after: cursor }) },
        walkQuery,
      );
      const found = page.nodes.map(({ id }) => id);
      if (backward) ids.unshift(...found);
      else ids.push(...found);
      expect(backward ? page.pageInfo.hasNextPage : page.pageInfo.hasPreviousPage).toBe(cursor !== null);
      cursor = backward ? page.pageInfo.startCursor : page.pageInfo.endCursor;
      if (!(backward ? page.pageInfo.hasPreviousPage : page.pageInfo.hasNextPage)) return ids;
    }
  };

  const idsBy = async (order: string, where = 'true') => {
    const { rows } = await subgraph.pool.query<{ id: string }>(
      `SELECT id FROM movie m JOIN (SELECT movie_id AS id, sum AS total, count AS ratings FROM movie_rating) AS r USING (id)
       WHERE deleted_at IS NULL AND (${where}) ORDER BY ${order}`,
    );
    return rows.map(({ id }) => id);
  };

  return { subgraph, ask, refusalOf, walk, idsBy };
};
