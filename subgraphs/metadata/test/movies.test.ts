import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, statementsDuring, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { metadata } from '../src/subgraph.js';

interface MoviePage {
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

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
  await importInto(catalogue, subgraph.pool);
  await subgraph.pool.query('UPDATE movie SET deleted_at = now() WHERE id IN ($1, $2)', [
    'vega:10',
    'vega:20',
  ]);
  // Enough distinct moments and enough equal ones; a few movies of which only the year is known.
  await subgraph.pool.query(`
    UPDATE movie SET created_at = '2020-01-01T00:00:00.123Z'::timestamptz + (hashtext(id) % 40) * interval '1 ms',
      release_date = CASE WHEN hashtext(id) % 50 = 0 THEN NULL ELSE release_date END,
      release_year = CASE WHEN hashtext(id) % 100 = 0 THEN NULL ELSE release_year END
    WHERE hashtext(id) % 100 <> 0 OR hashtext(id) % 50 = 0`);
  await subgraph.pool.query('ANALYZE');
});
afterAll(() => subgraph.stop());

const moviesQuery = `
  query ($filter: MovieFilter, $sort: MovieSort! = TITLE_ASC, $first: Int, $after: String, $last: Int, $before: String) {
    movies(filter: $filter, sort: $sort, first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id title } } nodes { id title } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;

/** Only what a walk through all pages needs. */
const walkQuery = moviesQuery.replace(/edges .* totalCount/, 'nodes { id }');

const ask = async (variables: Record<string, unknown> = {}, query = moviesQuery): Promise<MoviePage> => {
  const { data, errors } = await subgraph.ask(query, variables);
  expect(errors).toBeUndefined();
  return data?.['movies'] as MoviePage;
};

const refusalOf = async (variables: Record<string, unknown>, query = moviesQuery) => {
  const { data, errors } = await subgraph.ask(query, variables);
  expect(data ?? null).toBeNull();
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

/** Each order as plain SQL would sort it. */
const orders = {
  TITLE_ASC: 'lower(title) COLLATE "C", id COLLATE "C"',
  TITLE_DESC: 'lower(title) COLLATE "C" DESC, id COLLATE "C" DESC',
  RELEASE_DATE_ASC: 'coalesce(release_date, make_date(release_year, 1, 1)) NULLS LAST, id COLLATE "C"',
  RELEASE_DATE_DESC:
    'coalesce(release_date, make_date(release_year, 1, 1)) DESC NULLS LAST, id COLLATE "C" DESC',
  RUNTIME_ASC: 'runtime_minutes NULLS LAST, id COLLATE "C"',
  RUNTIME_DESC: 'runtime_minutes DESC NULLS LAST, id COLLATE "C" DESC',
  CREATED_AT_ASC: 'created_at, id COLLATE "C"',
  CREATED_AT_DESC: 'created_at DESC, id COLLATE "C" DESC',
} as const;

const idsBy = async (order: string, where = 'true') => {
  const { rows } = await subgraph.pool.query<{ id: string }>(
    `SELECT id FROM movie m WHERE deleted_at IS NULL AND (${where}) ORDER BY ${order}`,
  );
  return rows.map(({ id }) => id);
};

describe('the list of movies', () => {
  it.each(Object.entries(orders))(
    'shows every movie once in the order %s, forward and backward',
    async (sort, order) => {
      const expected = await idsBy(order);
      expect(expected).toHaveLength(3_198);
      expect(await walk({ sort }, false)).toEqual(expected);
      expect(await walk({ sort }, true)).toEqual(expected);
    },
  );

  it('shows 20 movies by title unless told, counts them all, and its nodes are those of its edges', async () => {
    const page = await ask();
    expect(page.edges).toHaveLength(20);
    expect(page.nodes).toEqual(page.edges.map(({ node }) => node));
    expect(page.totalCount).toBe(3_198);
    expect(page.nodes.map(({ id }) => id)).toEqual((await idsBy(orders.TITLE_ASC)).slice(0, 20));
  });

  it('goes on from any edge, also with first 0', async () => {
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
    ['an unknown certification', { filter: { certification: "' OR 1=1 --" } }],
    ['a condition that does not exist', { filter: { deletedAt: null } }],
  ])('refuses %s with BAD_USER_INPUT', async (_case, variables) => {
    expect(await refusalOf(variables)).toBe('BAD_USER_INPUT');
  });
});

describe('a cursor', () => {
  it('is refused when it is forged, changed, or of another order, filter or field', async () => {
    const { endCursor } = (await ask({ first: 5 })).pageInfo;
    const [values = '', mac = ''] = (endCursor ?? '').split('.');
    const forged = Buffer.from(`["zzz","vega:9' OR true --"]`).toString('base64url');
    const person =
      'query ($after: String) { person(id: "person:vega:david-fincher") { filmography(after: $after) { totalCount } } }';
    for (const after of [
      '',
      'x',
      '.',
      '%00',
      `${forged}.${mac}`,
      `${forged}.`,
      `${values}.${mac}x`,
      `${values}.${mac.slice(1)}`,
      `${values}.${mac}.${mac}`,
      `${values}.${mac}`.repeat(500),
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

  it('of one replica is good at another', async () => {
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

describe('a filter of movies', () => {
  const found = async (filter: Record<string, unknown>) => walk({ filter, sort: 'TITLE_ASC' }, false);

  it.each([
    ['a part of the title, in capitals or not', { title: 'tHe GoD' }, `title ILIKE '%the god%'`],
    [
      'a genre',
      { genre: 'black-comedy' },
      `EXISTS (SELECT FROM movie_genre g WHERE g.movie_id = m.id AND genre_id = 'black-comedy')`,
    ],
    [
      'a person',
      { person: 'person:vega:steven-spielberg' },
      `EXISTS (SELECT FROM credit c WHERE c.movie_id = m.id AND person_id = 'person:vega:steven-spielberg')`,
    ],
    ['a range of years', { releaseYear: { from: 1930, to: 1939 } }, 'release_year BETWEEN 1930 AND 1939'],
    ['the years up to one', { releaseYear: { to: 1950 } }, 'release_year <= 1950'],
    ['the runtimes from one', { runtimeMinutes: { from: 180 } }, 'runtime_minutes >= 180'],
    ['a certification', { certification: 'NC_17' }, `certification = 'NC_17'`],
    [
      'several conditions',
      { genre: 'drama', certification: 'PG', runtimeMinutes: { from: 90, to: 120 } },
      `certification = 'PG' AND runtime_minutes BETWEEN 90 AND 120 AND EXISTS (SELECT FROM movie_genre g WHERE g.movie_id = m.id AND genre_id = 'drama')`,
    ],
    [
      'nothing, where conditions are null',
      { title: null, genre: null, releaseYear: null, certification: null },
      'true',
    ],
  ])('finds movies by %s', async (_case, filter, where) => {
    const expected = await idsBy(orders.TITLE_ASC, where);
    expect(expected.length).toBeGreaterThan(0);
    expect(await found(filter)).toEqual(expected);
    expect((await ask({ filter, first: 0 })).totalCount).toBe(expected.length);
  });

  it.each([
    `'`,
    `' OR '1'='1`,
    `"; DROP TABLE movie; --`,
    '%',
    '_',
    '\\',
    '\\%',
    '%%%%%%%%%%%%%%%%%%%%%%%%',
    '$1',
    '${1}',
    '/* */',
    '((((((((((',
    '.*+?^[]{}|',
    '\u202E',
  ])('takes the title %s literally', async (title) => {
    const { rows } = await subgraph.pool.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM movie WHERE deleted_at IS NULL AND strpos(lower(title), lower($1)) > 0',
      [title],
    );
    expect((await ask({ filter: { title }, first: 0 })).totalCount).toBe(rows[0]?.count);
    for (const filter of [{ genre: title }, { person: title }]) {
      expect((await ask({ filter, first: 0 })).totalCount).toBe(0);
    }
    expect((await ask({ first: 0 })).totalCount).toBe(3_198);
  });

  it('is refused with U+0000 or half a surrogate pair in it', async () => {
    expect(await refusalOf({ filter: { title: 'a\u0000' } })).toBe('BAD_USER_INPUT');
    expect(await refusalOf({ filter: { title: '\uD800' } })).toBe('BAD_USER_INPUT');
  });

  it('is not read from a variable named __proto__', async () => {
    const { status, data, errors } = await subgraph.ask(
      'query ($__proto__: String) { movies(first: 1, filter: { title: $__proto__ }) { totalCount } }',
      JSON.parse('{ "__proto__": "godfather" }') as Record<string, unknown>,
    );
    expect({ status, data, code: errors?.[0]?.extensions?.['code'] }).toEqual({
      status: 400,
      data: undefined,
      code: 'BAD_REQUEST',
    });
  });
});

describe('the indexes', () => {
  const planOf = async (work: () => Promise<unknown>) => {
    const [statement = ''] = await statementsDuring(work);
    return statement;
  };

  it('carry every order of a page, so that reading one is flat in the number of movies', async () => {
    for (const sort of Object.keys(orders)) {
      const page = await ask({ sort, first: 50 });
      const variables = { sort, first: 20, after: page.pageInfo.endCursor };
      const statement = await planOf(() =>
        subgraph.ask(
          'query ($sort: MovieSort!, $first: Int, $after: String) { movies(sort: $sort, first: $first, after: $after) { nodes { id } } }',
          variables,
        ),
      );
      const [value, id] = JSON.parse(
        Buffer.from((page.pageInfo.endCursor ?? '').split('.')[0] ?? '', 'base64url').toString(),
      ) as [string, string];
      const { rows } = await subgraph.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement}`, [
        value,
        id,
        21,
      ]);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect([sort, plan]).toEqual([sort, expect.stringMatching(/Index Scan.* using movie_by_/)]);
      expect(plan).not.toMatch(/Sort|Seq Scan/);
    }
  });

  it('carry every filter', async () => {
    const client = await subgraph.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SET LOCAL enable_seqscan = off');
      // So few movies are quicker read whole, in any order that has an index.
      await client.query(`DROP INDEX movie_by_title, movie_by_release_asc, movie_by_release_desc, movie_by_runtime_asc,
        movie_by_runtime_desc, movie_by_created_at, movie_title_fold`);
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

describe('genres, people and their movies', () => {
  it('genres come with the counts of their movies, the largest first', async () => {
    const { data } = await subgraph.ask('{ genres { id name movieCount } }');
    const genres = data?.['genres'] as { id: string; movieCount: number }[];
    expect(genres).toHaveLength(12);
    expect(genres[0]).toEqual({ id: 'drama', name: 'Drama', movieCount: expect.any(Number) });
    for (const { id, movieCount } of genres) {
      expect((await ask({ filter: { genre: id }, first: 0 })).totalCount).toBe(movieCount);
    }
    expect(genres.map(({ movieCount }) => movieCount)).toEqual(
      genres.map(({ movieCount }) => movieCount).toSorted((a, b) => b - a),
    );
    expect(await refusalOf({}, '{ genres(first: 101) { id } }')).toBe('BAD_USER_INPUT');
  });

  it('a person has a filmography, newest first, page by page', async () => {
    const query = `query ($after: String) { person(id: "person:vega:steven-spielberg") { name
      filmography(first: 5, after: $after) { totalCount pageInfo { hasNextPage endCursor }
        nodes { role position movie { id title releaseDate } person { id } } } } }`;
    const ids: string[] = [];
    let after: string | null = null;
    let total = -1;
    do {
      const { data } = await subgraph.ask(query, { after });
      const { filmography } = data?.['person'] as {
        filmography: {
          totalCount: number;
          nodes: { movie: { id: string } }[];
          pageInfo: { hasNextPage: boolean; endCursor: string };
        };
      };
      ids.push(...filmography.nodes.map(({ movie }) => movie.id));
      total = filmography.totalCount;
      after = filmography.pageInfo.hasNextPage ? filmography.pageInfo.endCursor : null;
    } while (after !== null);
    const expected = await idsBy(
      orders.RELEASE_DATE_DESC,
      `EXISTS (SELECT FROM credit c WHERE c.movie_id = m.id AND person_id = 'person:vega:steven-spielberg')`,
    );
    expect(ids).toEqual(expected);
    expect(total).toBe(expected.length);
    expect(total).toBeGreaterThan(20);
  });

  it('an unknown movie and an unknown person are null, without an error', async () => {
    const { data, errors } = await subgraph.ask(
      '{ movie(id: "vega:0") { id } deleted: movie(id: "vega:10") { id } person(id: "x") { id } }',
    );
    expect({ data, errors }).toEqual({
      data: { movie: null, deleted: null, person: null },
      errors: undefined,
    });
  });
});

describe('the SQL of a query', () => {
  it('is one statement for a page of 100 movies, and one more for each nested field', async () => {
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

  it('is one statement for 50 movies that are asked for one by one', async () => {
    const movies = Array.from(
      { length: 50 },
      (_, index) => `m${index}: movie(id: "vega:${index}") { title }`,
    );
    expect(await statementsDuring(() => subgraph.ask(`{ ${movies.join(' ')} }`))).toHaveLength(1);
  });
});
