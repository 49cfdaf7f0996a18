import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ratingWorld, requestStatements } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

interface Listed {
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly score: number } }[];
  readonly pageInfo: Record<string, unknown>;
  readonly totalCount: number;
}

const ratingsOf = `query ($ids: [_Any!]!, $first: Int, $after: String) {
  _entities(representations: $ids) {
    ... on Movie {
      ratings(first: $first, after: $after) {
        edges { cursor node { score review createdAt } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        totalCount
      }
    }
  }
}`;

const pageOf = async (movieId: string, first: number, after: string | null = null) => {
  const { data, errors } = await world.subgraph.ask(ratingsOf, {
    ids: [{ __typename: 'Movie', id: movieId }],
    first,
    after,
  });
  if (errors) throw new Error(JSON.stringify(errors));
  const [movie] = (data as { _entities: { ratings: Listed }[] })._entities;
  if (!movie) throw new Error('no entity');
  return movie.ratings;
};

/** Ratings 370 microseconds apart, so that some share a millisecond, the precision of a cursor. */
const fill = async (movie: string, count: number) => {
  await world.know(movie);
  await world.subgraph.pool.query(
    `INSERT INTO rating (movie_id, viewer_id, score, origin, created_at, updated_at)
     SELECT $1, 'viewer ' || n, (n % 10) + 1, 'test', t, t
     FROM generate_series(1, $2::int) n, LATERAL (SELECT '2025-01-01'::timestamptz + n * interval '370 microseconds' AS t) AS at`,
    [movie, count],
  );
};

describe("a movie's ratings", () => {
  it('Movie.ratings returns the newest first, page by page, none twice and none missing', async () => {
    await fill('paged', 53);
    await world.subgraph.ask('{ __typename }');
    const seen: string[] = [];
    let after: string | null = null;
    for (;;) {
      const page: Listed = await pageOf('paged', 10, after);
      seen.push(...page.edges.map(({ cursor }) => cursor));
      after = String(page.pageInfo['endCursor']);
      if (page.pageInfo['hasNextPage'] !== true) break;
    }
    expect(seen).toHaveLength(53);
    expect(new Set(seen).size).toBe(53);
  });

  it('Movie.ratings of many movies, each with its own page, takes one statement', async () => {
    for (const movie of ['a', 'b', 'c']) await fill(`many ${movie}`, 3);
    const statements = await requestStatements(async () => {
      const ids = ['a', 'b', 'c'].map((movie) => ({ __typename: 'Movie', id: `many ${movie}` }));
      const { data } = await world.subgraph.ask(
        `query ($ids: [_Any!]!) { _entities(representations: $ids) { ... on Movie {
           two: ratings(first: 2) { nodes { score } } none: ratings(first: 0) { nodes { score } }
         } } }`,
        { ids },
      );
      const entities = (data as { _entities: { two: { nodes: unknown[] }; none: { nodes: unknown[] } }[] })
        ._entities;
      expect(entities.map(({ two, none }) => [two.nodes.length, none.nodes.length])).toEqual([
        [2, 0],
        [2, 0],
        [2, 0],
      ]);
    });
    expect(statements.filter((text) => text.includes('FROM rating'))).toHaveLength(1);
  });

  it.each([-1, 101, 1_000_000_000])('Movie.ratings refuses a page of %p', async (first) => {
    await expect(pageOf('paged', first)).rejects.toThrow('BAD_USER_INPUT');
  });

  it('Movie.ratings refuses a cursor that is forged, changed or of another movie', async () => {
    const { pageInfo } = await pageOf('paged', 1);
    const cursor = String(pageInfo['endCursor']);
    const changed = `${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`;
    await fill('other', 2);
    for (const [movie, after] of [
      ['paged', 'nonsense'],
      ['paged', changed],
      ['paged', `${cursor}x`],
      ['paged', "' OR 1=1 --"],
      ['other', cursor],
    ] as const) {
      await expect(pageOf(movie, 1, after)).rejects.toThrow('BAD_USER_INPUT');
    }
  });
});

describe('myRatings', () => {
  const mine = `query ($first: Int, $after: String, $last: Int, $before: String) {
    myRatings(first: $first, after: $after, last: $last, before: $before) {
      totalCount
      nodes { movie { id } score }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
  const ask = async (variables: Record<string, unknown>, viewer?: string) => {
    const { data, errors } = await world.subgraph.ask(mine, variables, viewer ? { viewer } : {});
    if (errors) throw new Error(JSON.stringify(errors));
    return (data as { myRatings: Mine }).myRatings;
  };
  interface Mine {
    readonly totalCount: number;
    readonly nodes: readonly { readonly movie: { readonly id: string } }[];
    readonly pageInfo: Readonly<Record<string, unknown>>;
  }
  const idsOf = ({ nodes }: Mine) => nodes.map(({ movie }) => movie.id);

  it('myRatings needs a viewer', async () => {
    await expect(ask({})).rejects.toThrow('UNAUTHENTICATED');
  });

  it('myRatings returns only ratings of the viewer, newest first, forward and backward', async () => {
    for (const movie of ['m1', 'm2', 'm3', 'm4']) await world.rate('carl', movie, 6);
    await world.rate('dora', 'm1', 1);
    await world.retract('carl', 'm2');
    const all = await ask({}, 'carl');
    expect(all.totalCount).toBe(3);
    expect(idsOf(all)).toEqual(['m4', 'm3', 'm1']);
    const first = await ask({ first: 2 }, 'carl');
    expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    expect(idsOf(await ask({ first: 2, after: first.pageInfo['endCursor'] }, 'carl'))).toEqual(['m1']);
    expect(idsOf(await ask({ last: 2 }, 'carl'))).toEqual(['m3', 'm1']);
    const [start] = [(await ask({ last: 1 }, 'carl')).pageInfo['startCursor']];
    expect(idsOf(await ask({ last: 5, before: start }, 'carl'))).toEqual(['m4', 'm3']);
    await expect(ask({ first: 1, last: 1 }, 'carl')).rejects.toThrow('BAD_USER_INPUT');
    await expect(ask({ after: first.pageInfo['endCursor'] }, 'dora')).rejects.toThrow('BAD_USER_INPUT');
  });

  it('myRatings and Movie.myRating are refused without a viewer, and the other fields are returned', async () => {
    const { data, errors } = await world.subgraph.ask(
      `{ _entities(representations: [{ __typename: "Movie", id: "m1" }]) {
        ... on Movie { aggregatedRating { count } myRating { score } } } }`,
    );
    expect(errors?.map(({ extensions }) => extensions?.['code'])).toEqual(['UNAUTHENTICATED']);
    expect(data).toEqual({ _entities: [{ aggregatedRating: { count: 2 }, myRating: null }] });
  });
});

describe('an operation whose lists multiply', () => {
  it('an operation whose lists multiply is refused before anything is read', async () => {
    const text =
      '{topRated(first:100){nodes{ratings(first:100){nodes{movie{ratings(first:100){nodes{movie{id}}}}}}}}}';
    let answer: Awaited<ReturnType<typeof world.subgraph.ask>> | undefined;
    const statements = await requestStatements(async () => {
      answer = await world.subgraph.ask(text);
    });
    expect(answer?.status).toBe(400);
    expect(answer?.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
    expect(statements).toEqual([]);
  });
});

describe('topRated', () => {
  const top = async (first: number) => {
    const { data, errors } = await world.subgraph.ask(
      'query ($first: Int) { topRated(first: $first) { nodes { id } } }',
      { first },
    );
    if (errors) throw new Error(JSON.stringify(errors));
    return (data as { topRated: { nodes: { id: string }[] } }).topRated.nodes.map(({ id }) => id);
  };

  interface TopRatedPage {
    readonly edges: readonly { readonly node: { readonly id: string } }[];
    readonly pageInfo: {
      readonly hasNextPage: boolean;
      readonly hasPreviousPage: boolean;
      readonly endCursor: string | null;
    };
    readonly totalCount: number;
  }

  const topPage = async (first: number, after: string | null) => {
    const { data, errors } = await world.subgraph.ask(
      `query ($first: Int!, $after: String) { topRated(first: $first, after: $after) {
         edges { node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount } }`,
      { first, after },
    );
    if (errors) throw new Error(JSON.stringify(errors));
    return (data as { topRated: TopRatedPage }).topRated;
  };

  it('topRated ranks many good votes before a single perfect one, and leaves out deleted and unknown movies', async () => {
    await world.subgraph.pool.query(`
      INSERT INTO aggregated_rating (movie_id, sum, count, s9) VALUES ('top many', 9000, 1000, 1000);
      INSERT INTO aggregated_rating (movie_id, sum, count, s10) VALUES ('top single', 10, 1, 1);
      INSERT INTO aggregated_rating (movie_id, sum, count, s10) VALUES ('top deleted', 10000, 1000, 1000);
      INSERT INTO aggregated_rating (movie_id, sum, count, s10) VALUES ('top unknown', 10000, 1000, 1000)`);
    await world.know('top many', 'top single', 'top deleted', 'top nobody');
    await world.remove('top deleted');
    const ids = await top(100);
    expect(ids[0]).toBe('top many');
    expect(ids).toContain('top single');
    expect(ids).not.toContain('top deleted');
    expect(ids).not.toContain('top unknown');
    expect(ids).not.toContain('top nobody');
    const { rows } = await world.subgraph.pool.query(
      `SELECT weighted FROM aggregated_rating WHERE movie_id = 'top many'`,
    );
    expect(rows).toEqual([{ weighted: (50 * 6.5 + 9000) / (50 + 1000) }]);
  });

  it('topRated pages through all movies, none twice and none missing, also those of equal score', async () => {
    await world.subgraph.pool.query(`
      INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s7)
      SELECT 'equal ' || n, 'known', 7, 1, 1 FROM generate_series(1, 9) n`);
    const all = await top(100);
    const seen: string[] = [];
    let after: string | null = null;
    for (;;) {
      const page: TopRatedPage = await topPage(4, after);
      seen.push(...page.edges.map(({ node }) => node.id));
      expect(page.totalCount).toBe(all.length);
      expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
      after = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
    }
    expect(seen).toEqual(all);
    expect(seen.filter((id) => id.startsWith('equal '))).toHaveLength(9);
  });

  it('topRated refuses a cursor that is forged or of another list', async () => {
    const { pageInfo } = await pageOf('paged', 1);
    for (const after of ['nonsense', String(pageInfo['endCursor'])])
      await expect(topPage(1, after)).rejects.toThrow('BAD_USER_INPUT');
  });

  it.each([-1, 101])('topRated refuses to list %p movies', async (first) => {
    await expect(top(first)).rejects.toThrow('BAD_USER_INPUT');
  });

  it('topRated is an index scan that reads no more rows than it returns', async () => {
    await world.subgraph.pool.query(`
      INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s5)
      SELECT 'filler ' || n, 'known', 5 * n, n, n FROM generate_series(1, 20000) n;
      ANALYZE aggregated_rating`);
    const { pageInfo } = await topPage(100, null);
    const [statement = ''] = await requestStatements(() => top(20));
    const [following = ''] = await requestStatements(() => topPage(20, pageInfo.endCursor));
    for (const [text, values, scan] of [
      [statement, [21], 'Index'],
      [following, [21, 5.1, 'filler 100'], 'Index Cond: (weighted <='],
    ] as const) {
      const { rows } = await world.subgraph.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, [
        ...values,
      ]);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toContain('aggregated_rating_top');
      expect(plan).toContain(scan);
      expect(plan).not.toContain('Sort');
    }
  });
});
