import { describe, expect, it } from '@jest/globals';
import { toSourceRecord } from './source-movie.js';

const movie = { id: 'test:1', title: 'T' };
const person = (name: string) => ({ id: `person:test:${name.length}`, name });

describe('a movie of a source', () => {
  it.each([
    ['a runtime over the limit', { facts: { runtimeMinutes: 51_420 } }, ['runtimeMinutes']],
    ['a year before the cinema', { releaseYear: 1066 }, ['releaseYear']],
    ['a day that does not exist', { releaseDate: '1998-02-30' }, ['releaseDate']],
    ['another year than that of its date', { releaseDate: '1998-02-03', releaseYear: 1999 }, ['releaseYear']],
    ['a poster that is no https URL', { facts: { posterUrl: 'javascript:1' } }, ['posterUrl']],
    [
      'an amount that cannot be stored',
      { facts: { domesticGross: { amount: '1e20', currency: 'USD' } } },
      ['domesticGross'],
    ],
  ])('a movie with %s is imported without it', (_case, input, leftOut) => {
    expect(toSourceRecord('line 1', { ...movie, ...input })).toMatchObject({
      item: { id: 'test:1' },
      leftOut,
    });
  });

  it('of a list only the items are left out that break a limit, and the last ones of too many', () => {
    const read = toSourceRecord('line 1', {
      ...movie,
      genres: ['Drama', 'x'.repeat(51), 'Comedy', ...Array.from({ length: 30 }, (_, n) => `Genre ${n}`)],
      facts: { directors: [person('Ann'), person('x'.repeat(201))] },
    });
    const { item, leftOut } = read as Extract<typeof read, { item: unknown }>;
    expect(item.facts.genres.slice(0, 2).map(({ name }) => name)).toEqual(['Drama', 'Comedy']);
    expect(item.facts.genres).toHaveLength(19);
    expect(item.facts.directors).toEqual([person('Ann')]);
    expect(leftOut).toEqual(['genres', 'directors']);
  });

  it('a list without end is cut quickly', () => {
    const genres = Array.from({ length: 200_000 }, (_, n) => `Genre ${n}`);
    expect(toSourceRecord('line 1', { ...movie, genres })).toMatchObject({ item: { id: 'test:1' } });
  });

  it.each([
    ['title', { title: 'x'.repeat(301) }],
    ['id', { id: 'a b' }],
  ])('a movie without a usable %s is refused', (_field, input) => {
    expect(toSourceRecord('line 1', { ...movie, ...input })).toMatchObject({ refused: expect.any(String) });
  });
});
