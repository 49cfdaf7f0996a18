import { statementsDuring, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { orders, startMoviePages, type MoviePage } from './support/movie-pages.js';

let subgraph: TestSubgraph;
let ask: Pages['ask'];
let refusalOf: Pages['refusalOf'];
let idsBy: Pages['idsBy'];
beforeAll(async () => {
  ({ subgraph, ask, refusalOf, idsBy } = await startMoviePages());
});
afterAll(() => subgraph.stop());

type Pages = Awaited<ReturnType<typeof startMoviePages>>;

describe('genres, people and their movies', () => {
  it('genres have the counts of their movies, the largest count first', async () => {
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

  it('the movies of many genres are read page by page, in any order, with one statement for all genres', async () => {
    const query = `query ($sort: MovieSort!, $after: String) {
      genre(id: "black-comedy") { movieCount movies(sort: $sort, first: 30, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { id } } } }`;
    for (const sort of ['TITLE_DESC', 'WEIGHTED_SCORE_DESC'] as const) {
      const ids: string[] = [];
      let after: string | null = null;
      do {
        const { data, errors } = await subgraph.ask(query, { sort, after });
        expect(errors).toBeUndefined();
        const { movies, movieCount } = data?.['genre'] as { movies: MoviePage; movieCount: number };
        expect(movies.totalCount).toBe(movieCount);
        ids.push(...movies.nodes.map(({ id }) => id));
        after = movies.pageInfo.hasNextPage ? movies.pageInfo.endCursor : null;
      } while (after !== null);
      const expected = await idsBy(
        orders[sort],
        `EXISTS (SELECT FROM movie_genre g WHERE g.movie_id = m.id AND genre_id = 'black-comedy')`,
      );
      expect(ids).toEqual(expected);
    }
    const ofAll = '{ genres { id movies(first: 3, sort: RELEASE_DATE_DESC) { nodes { id } } } }';
    expect(await statementsDuring(() => subgraph.ask(ofAll))).toHaveLength(2);
    const { data } = await subgraph.ask(ofAll);
    const genres = data?.['genres'] as { id: string; movies: MoviePage }[];
    for (const { id, movies } of genres) {
      const { nodes } = await ask({ filter: { genre: id }, sort: 'RELEASE_DATE_DESC', first: 3 });
      expect(movies.nodes).toEqual(nodes.map((node) => ({ id: node.id })));
    }
  });

  it('a cursor of one genre is refused by another', async () => {
    const page = '{ genre(id: "drama") { movies(first: 1) { pageInfo { endCursor } } } }';
    const { data } = await subgraph.ask(page);
    const { endCursor } = (data?.['genre'] as { movies: MoviePage }).movies.pageInfo;
    const other = `{ genre(id: "comedy") { movies(after: "${endCursor}") { nodes { id } } } }`;
    expect((await subgraph.ask(other)).errors?.[0]?.extensions?.['code']).toBe('BAD_USER_INPUT');
  });

  it('a movie is found by an external id, unless it was deleted', async () => {
    await subgraph.pool.query(
      `INSERT INTO external_id (source, value, movie_id) VALUES ('imdb', 'tt0000001', 'vega:1'), ('imdb', 'tt0000002', 'vega:10')`,
    );
    const query = `{ found: movieByExternalId(source: "imdb", value: "tt0000001") { id }
      deleted: movieByExternalId(source: "imdb", value: "tt0000002") { id }
      unknown: movieByExternalId(source: "tmdb", value: "tt0000001") { id } }`;
    expect(await subgraph.ask(query)).toMatchObject({
      data: { found: { id: 'vega:1' }, deleted: null, unknown: null },
    });
    expect(await statementsDuring(() => subgraph.ask(query))).toHaveLength(2);
  });

  it('every object is read again by its id, in the order of the ids', async () => {
    const query = `query ($ids: [ID!]!) { nodes(ids: $ids) {
      __typename id ... on Movie { title } ... on Person { name } ... on Genre { movieCount } } }`;
    const ids = ['drama', 'vega:1', 'x', 'person:vega:steven-spielberg', 'vega:10', 'vega:1'];
    const answer = await subgraph.ask(query, { ids });
    const movie = { __typename: 'Movie', id: 'vega:1', title: expect.any(String) };
    expect(answer).toMatchObject({
      data: {
        nodes: [
          { __typename: 'Genre', id: 'drama', movieCount: expect.any(Number) },
          movie,
          null,
          { __typename: 'Person', id: 'person:vega:steven-spielberg', name: 'Steven Spielberg' },
          null,
          movie,
        ],
      },
    });
    expect(await statementsDuring(() => subgraph.ask(query, { ids: ['vega:1', 'x'] }))).toHaveLength(3);
    const { data } = await subgraph.ask('{ node(id: "drama") { id } none: node(id: "x") { id } }');
    expect(data).toEqual({ node: { id: 'drama' }, none: null });
    const tooMany = await subgraph.ask(query, { ids: Array.from({ length: 101 }, () => 'x') });
    expect(tooMany.errors?.[0]?.extensions).toMatchObject({
      code: 'BAD_USER_INPUT',
      details: { field: 'ids' },
    });
  });

  it('the credits of a movie are read page by page, the directors first, with one statement for all movies', async () => {
    await subgraph.pool.query(`
      DELETE FROM credit WHERE movie_id = 'vega:2';
      INSERT INTO credit (movie_id, role, position, person_id, character)
      SELECT 'vega:2', role, n, 'person:vega:david-fincher', role || n
      FROM (VALUES ('ACTOR', 7), ('DIRECTOR', 2)) AS roles (role, size), generate_series(1, size) AS n`);
    const query = `query ($role: CreditRole, $after: String) { movie(id: "vega:2") {
      credits(role: $role, first: 3, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { role position character person { name } movie { id } } } } }`;
    const walk = async (role: string | null) => {
      const found: string[] = [];
      let after: string | null = null;
      do {
        const { data, errors } = await subgraph.ask(query, { role, after });
        expect(errors).toBeUndefined();
        const { credits } = data?.['movie'] as {
          credits: { totalCount: number; nodes: { character: string }[]; pageInfo: MoviePage['pageInfo'] };
        };
        found.push(...credits.nodes.map(({ character }) => character));
        after = credits.pageInfo.hasNextPage ? credits.pageInfo.endCursor : null;
        if (after === null) expect(credits.totalCount).toBe(found.length);
      } while (after !== null);
      return found.join(' ');
    };
    const actors = 'ACTOR1 ACTOR2 ACTOR3 ACTOR4 ACTOR5 ACTOR6 ACTOR7';
    expect(await walk(null)).toBe(`DIRECTOR1 DIRECTOR2 ${actors}`);
    expect(await walk('ACTOR')).toBe(actors);
    const ofMany =
      '{ movies(first: 50) { nodes { credits(first: 2) { totalCount nodes { person { name } } } } } }';
    expect(await statementsDuring(() => subgraph.ask(ofMany))).toHaveLength(3);
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
