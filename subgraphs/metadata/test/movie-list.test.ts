import { createCursorSealer } from '@cinegraph/subgraph/cursors';
import {
  startTestSubgraph,
  statementsDuring,
  testSubgraphKey,
  type TestSubgraph,
} from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MovieSort } from '../src/generated/resolvers.js';
import { movieListScope } from '../src/queries/movie-list.js';
import { metadata } from '../src/subgraph.js';
import { moviesQuery, orders, startMoviePages, type MoviePage } from './support/movie-pages.js';

let subgraph: TestSubgraph;
let ask: Pages['ask'];
let refusalOf: Pages['refusalOf'];
let walk: Pages['walk'];
let idsBy: Pages['idsBy'];
beforeAll(async () => {
  ({ subgraph, ask, refusalOf, walk, idsBy } = await startMoviePages());
});
afterAll(() => subgraph.stop());

type Pages = Awaited<ReturnType<typeof startMoviePages>>;

describe('the list of movies', () => {
  it.each(Object.entries(orders))(
    'the list has every movie once in the order %s, forward and backward',
    async (sort, order) => {
      const expected = await idsBy(order);
      expect(expected).toHaveLength(3_198);
      expect(await walk({ sort }, false)).toEqual(expected);
      expect(await walk({ sort }, true)).toEqual(expected);
    },
  );

  it('the list has 20 movies by title by default, the total count, and the same nodes as its edges', async () => {
    const page = await ask();
    expect(page.edges).toHaveLength(20);
    expect(page.nodes).toEqual(page.edges.map(({ node }) => node));
    expect(page.totalCount).toBe(3_198);
    expect(page.nodes.map(({ id }) => id)).toEqual((await idsBy(orders.TITLE_ASC)).slice(0, 20));
  });

  it('a page starts after any edge, and may be empty with first 0', async () => {
    const page = await ask({ first: 10 });
    const next = await ask({ first: 3, after: page.edges[4]?.cursor });
    expect(next.nodes).toEqual(page.nodes.slice(5, 8));
    expect((await ask({ first: 0 })).edges).toEqual([]);
    expect((await ask({ first: 0 })).pageInfo.hasNextPage).toBe(true);
  });

  it.each([
    ['the most rows plus one', { first: 101 }],
    ['a billion rows', { first: 1_000_000_000 }],
    ['fewer than no rows', { first: -1 }],
    ['fewer than no rows from the end', { last: -1 }],
    ['half a row', { first: 1.5 }],
    ['both directions', { first: 5, last: 5 }],
    ['an unknown order', { sort: 'id; DROP TABLE movie' }],
    ['an order that is null', { sort: null }],
    ['an empty title', { filter: { title: '' } }],
    ['a title of 101 characters', { filter: { title: 't'.repeat(101) } }],
    ['a title that is an operator', { filter: { title: { not: null } } }],
    ['a genre that is an operator', { filter: { genre: { contains: '' } } }],
    ['a person that is a list', { filter: { person: ['a', 'b'] } }],
    ['a year that is an operator', { filter: { releaseYear: { gte: 1 } } }],
    ['a year beyond 32 bits', { filter: { releaseYear: { from: 9_999_999_999 } } }],
    ['a range that ends before it begins', { filter: { runtimeMinutes: { from: 100, to: 90 } } }],
    ['a range of averages that ends before it begins', { filter: { averageRating: { from: 8.5, to: 8 } } }],
    ['an unknown certification', { filter: { certification: "' OR 1=1 --" } }],
    ['a condition that does not exist', { filter: { deletedAt: null } }],
  ])('the list of movies refuses %s with BAD_USER_INPUT', async (_case, variables) => {
    expect(await refusalOf(variables)).toBe('BAD_USER_INPUT');
  });
});

describe('a cursor', () => {
  it('a cursor is refused if it is forged, changed, or of another order, filter or field', async () => {
    const { endCursor } = (await ask({ first: 5 })).pageInfo;
    const cursor = String(endCursor);
    const person =
      'query ($after: String) { person(id: "person:vega:david-fincher") { filmography(after: $after) { totalCount } } }';
    for (const after of [
      '',
      'x',
      '.',
      '%00',
      `${cursor}x`,
      cursor.slice(1),
      cursor.slice(0, -1),
      `${cursor}.${cursor}`,
      cursor.repeat(500),
    ]) {
      expect([after, await refusalOf({ first: 5, after })]).toEqual([after, 'BAD_USER_INPUT']);
    }
    const after = endCursor;
    expect(await refusalOf({ after, sort: 'TITLE_DESC' })).toBe('BAD_USER_INPUT');
    expect(await refusalOf({ after, filter: { genre: 'drama' } })).toBe('BAD_USER_INPUT');
    const { data, errors } = await subgraph.ask(person, { after });
    expect(data).toEqual({ person: null });
    expect(errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT');
    expect((await ask({ after, first: 5, filter: {} })).nodes).toHaveLength(5);
  });

  it('a cursor of one replica is valid at another', async () => {
    const replica = await startTestSubgraph(metadata, { databaseUrl: subgraph.databaseUrl });
    try {
      const page = await ask({ first: 6 });
      const next = await replica.ask(moviesQuery, { first: 3, after: page.edges[2]?.cursor });
      expect((next.data?.['movies'] as MoviePage).nodes).toEqual(page.nodes.slice(3));
    } finally {
      await replica.stop();
    }
  });
});

describe('the indexes', () => {
  const planOf = async (work: () => Promise<unknown>) => {
    const [statement = ''] = await statementsDuring(work);
    return statement;
  };

  it('each order has an index, so that the cost of a page does not grow with the number of movies', async () => {
    for (const sort of Object.keys(orders)) {
      const page = await ask({ sort, first: 50 });
      const variables = { sort, first: 20, after: page.pageInfo.endCursor };
      const statement = await planOf(() =>
        subgraph.ask(
          'query ($sort: MovieSort!, $first: Int, $after: String) { movies(sort: $sort, first: $first, after: $after) { nodes { id } } }',
          variables,
        ),
      );
      const scope = movieListScope({}, sort as MovieSort);
      const [value, id] = createCursorSealer(testSubgraphKey, 'metadata').open(
        scope,
        String(page.pageInfo.endCursor),
        'after',
      );
      const { rows } = await subgraph.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement}`, [
        value,
        id,
        21,
      ]);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect([sort, plan]).toEqual([
        sort,
        expect.stringMatching(/Index (Only )?Scan.* using movie_(rating_)?by_/),
      ]);
      expect(plan).not.toMatch(/Sort|Seq Scan/);
    }
  });

  it('each filter has an index', async () => {
    const client = await subgraph.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SET LOCAL enable_seqscan = off');
      // The planner would rather scan these few movies by the index of an order.
      await client.query(`DROP INDEX movie_by_title, movie_by_release_asc, movie_by_release_desc, movie_by_runtime_asc,
        movie_by_runtime_desc, movie_by_created_at, movie_title_fold, movie_title_joined`);
      for (const [index, condition] of [
        ['movie_title_search', `title ILIKE '%godfather%' AND deleted_at IS NULL`],
        ['movie_release_year', 'release_year BETWEEN 1930 AND 1931'],
        ['movie_runtime_minutes', 'runtime_minutes > 200'],
        ['movie_certification', `certification = 'NC_17'`],
      ]) {
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN SELECT id FROM movie WHERE ${condition}`,
        );
        expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain(index);
      }
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});

describe('the SQL of a query', () => {
  it('a page of 100 movies costs one statement, and one more for each nested field', async () => {
    const statements = (fields: string) =>
      statementsDuring(async () => {
        const { data, errors } = await subgraph.ask(
          `{ movies(first: 100) { nodes { id title ${fields} } } }`,
        );
        expect(errors).toBeUndefined();
        expect((data?.['movies'] as MoviePage).nodes).toHaveLength(100);
      });
    expect(await statements('')).toHaveLength(1);
    expect(await statements('productionBudget { amount } createdAt version')).toHaveLength(1);
    expect(await statements('genres { name }')).toHaveLength(2);
    expect(await statements('externalRatings { average } externalIds { value }')).toHaveLength(3);
    expect(await statements('directors { name } cast { person { name } }')).toHaveLength(2);
    expect(await statements('genres { name movieCount }')).toHaveLength(3);
    expect(
      await statements(
        'directors { name filmography(first: 3) { totalCount nodes { movie { title genres { name } } } } }',
      ),
    ).toHaveLength(5);
  });

  it('50 movies that are selected one by one cost one statement', async () => {
    const movies = Array.from(
      { length: 50 },
      (_, index) => `m${index}: movie(id: "vega:${index}") { title }`,
    );
    expect(await statementsDuring(() => subgraph.ask(`{ ${movies.join(' ')} }`))).toHaveLength(1);
  });
});
