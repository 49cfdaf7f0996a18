import type { TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { orders, startMoviePages } from './support/movie-pages.js';

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
