import type { TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { orders, startMoviePages } from './support/movie-pages.js';

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

describe('a filter of movies', () => {
  const found = async (filter: Record<string, unknown>) => walk({ filter, sort: 'TITLE_ASC' }, false);

  it.each(Object.keys(orders) as (keyof typeof orders)[])(
    'pages of a list with two conditions are complete in the order %s, for few and many matches',
    async (sort) => {
      for (const [filter, where, least] of [
        [
          { releaseYear: { from: 1990 }, runtimeMinutes: { from: 150 } },
          'release_year >= 1990 AND runtime_minutes >= 150',
          20,
        ],
        [{ releaseYear: { from: 1930 }, ratingCount: { from: 0 } }, 'release_year >= 1930', 1_500],
      ] as const) {
        const expected = await idsBy(orders[sort], where);
        expect(expected.length).toBeGreaterThan(least);
        for (const backward of [false, true])
          expect(await walk({ filter, sort }, backward)).toEqual(expected);
      }
    },
  );

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
    ['an average from 8', { averageRating: { from: 8 } }, 'ratings > 0 AND total >= 8 * ratings'],
    ['an average up to 3', { averageRating: { to: 3 } }, 'ratings > 0 AND total <= 3 * ratings'],
    ['at least five ratings', { ratingCount: { from: 5 } }, 'ratings >= 5'],
    ['no ratings', { ratingCount: { to: 0 } }, 'ratings = 0'],
    [
      'a weighted score',
      { weightedScore: { from: 6.45, to: 6.55 } },
      'ratings > 0 AND 325 + total BETWEEN 6.45 * (50 + ratings) AND 6.55 * (50 + ratings)',
    ],
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
  ])('a filter finds movies by %s', async (_case, filter, where) => {
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
  ])('a filter takes the title %s literally', async (title) => {
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

  it('a filter with U+0000 or half a surrogate pair is refused', async () => {
    expect(await refusalOf({ filter: { title: 'a\u0000' } })).toBe('BAD_USER_INPUT');
    expect(await refusalOf({ filter: { title: '\uD800' } })).toBe('BAD_USER_INPUT');
  });

  it('a filter with a variable named __proto__ is refused', async () => {
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
