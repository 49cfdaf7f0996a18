import { describe, expect, it } from '@jest/globals';
import {
  checkExternalId,
  checkMovie,
  checkMovieId,
  genresOf,
  isCurrencyCode,
  isDay,
  isDecimal,
  settleRelease,
  slugOf,
} from './rules.js';

/** Matches the refusal of a field. */
const refusal = (field: string) =>
  expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field } }) as unknown as Error;
const names = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `Person ${index}` }));

describe('checkMovie', () => {
  it('a movie may have every field at its limit', () => {
    expect(() =>
      checkMovie({
        title: '\u{1F3AC}'.repeat(300),
        description: 'd'.repeat(5_000),
        releaseDate: '2199-12-31',
        releaseYear: 2199,
        runtimeMinutes: 6_000,
        genres: Array.from({ length: 20 }, (_, index) => `Genre ${index}`),
        directors: names(20),
        cast: names(200).map((person) => ({ person, character: 'c'.repeat(200) })),
        languages: ['en', 'pt-BR', 'zh-Hant-TW'],
        externalIds: [{ source: 'imdb', value: 'tt0111161' }],
        posterUrl: `https://example.org/${'p'.repeat(1_980)}`,
      }),
    ).not.toThrow();
  });

  it.each([
    ['title', { title: '' }],
    ['title', { title: ' \t ' }],
    ['title', { title: 't'.repeat(301) }],
    ['title', { title: null }],
    ['description', { description: 'd'.repeat(5_001) }],
    ['releaseYear', { releaseYear: 1869 }],
    ['releaseYear', { releaseYear: 2200 }],
    ['releaseYear', { releaseDate: '1998-06-12', releaseYear: 1999 }],
    ['releaseYear', { releaseDate: '1998-06-12', releaseYear: null }],
    ['runtimeMinutes', { runtimeMinutes: 0 }],
    ['runtimeMinutes', { runtimeMinutes: -5 }],
    ['runtimeMinutes', { runtimeMinutes: 6_001 }],
    ['genres', { genres: Array<string>(21).fill('Drama') }],
    ['genres.0', { genres: [''] }],
    ['genres.0', { genres: ['!!!'] }],
    ['genres.1', { genres: ['Drama', 'g'.repeat(51)] }],
    ['directors', { directors: names(5_000) }],
    ['directors.0.name', { directors: [{ name: ' ' }] }],
    ['cast', { cast: names(201).map((person) => ({ person })) }],
    ['cast.0.character', { cast: [{ person: { name: 'A' }, character: 'c'.repeat(201) }] }],
    ['languages', { languages: Array<string>(21).fill('en') }],
    ['languages.0', { languages: ['English please'] }],
    ['languages.1', { languages: ['en', 'en'] }],
    ['externalIds.0.source', { externalIds: [{ source: 'IMDb', value: 'tt0111161' }] }],
    ['externalIds.0.value', { externalIds: [{ source: 'imdb', value: '0111161' }] }],
    ['externalIds.1', { externalIds: Array(2).fill({ source: 'imdb', value: 'tt0111161' }) }],
    ['externalIds', { externalIds: Array(21).fill({ source: 'imdb', value: 'tt0111161' }) }],
    ['posterUrl', { posterUrl: 'http://example.org/p.jpg' }],
    ['posterUrl', { posterUrl: 'https://me:secret@example.org/p.jpg' }],
    ['posterUrl', { posterUrl: 'javascript:alert(1)' }],
    ['posterUrl', { posterUrl: 'https://exa mple.org/' }],
    ['posterUrl', { posterUrl: ' https://example.org/' }],
    ['posterUrl', { posterUrl: `https://example.org/${'p'.repeat(2_000)}` }],
  ])('a movie is refused for its %s: %j', (field, movie) => {
    expect(() => checkMovie(movie)).toThrow(refusal(field));
  });
});

describe('an external id', () => {
  it.each([
    ['imdb', 'tt0111161'],
    ['tmdb', '278'],
    ['rotten-tomatoes', 'm/the_shawshank_redemption'],
  ])('an external id of %s may be %s', (source, value) => {
    expect(() => checkExternalId('externalId', { source, value })).not.toThrow();
  });

  it.each([
    ['imdb', 'nm0000151'],
    ['tmdb', '0'],
    ['other', ''],
    ['other', 'with space'],
    ['other', 'x'.repeat(101)],
  ])('an external id of %s is never "%s"', (source, value) => {
    expect(() => checkExternalId('externalId', { source, value })).toThrow(refusal('externalId.value'));
  });
});

describe('checkMovieId', () => {
  it('a movie id may have any of our own forms', () => {
    for (const id of ['vega:1', 'imdb:tt0111161', '0193-a']) expect(() => checkMovieId(id)).not.toThrow();
  });
  it.each(['', ' ', 'a b', ':x', 'a/b', 'x'.repeat(129), 'person:a', 'rating:a'])(
    'a movie id is never "%s"',
    (id) => {
      expect(() => checkMovieId(id)).toThrow(refusal('id'));
    },
  );
});

describe('a release', () => {
  const known = { releaseDate: '1998-06-12', releaseYear: 1998 };
  it('a release has the year of its date, and keeps the year if only the date is cleared', () => {
    expect(settleRelease(known, { releaseDate: '2001-01-01' })).toEqual({
      releaseDate: '2001-01-01',
      releaseYear: 2001,
    });
    expect(settleRelease(known, { releaseDate: null })).toEqual({ releaseDate: null, releaseYear: 1998 });
    expect(settleRelease(known, { releaseDate: null, releaseYear: null })).toEqual({
      releaseDate: null,
      releaseYear: null,
    });
    expect(settleRelease(known, {})).toEqual(known);
  });
  it('a release refuses a year that is not the year of its date', () => {
    expect(() => settleRelease(known, { releaseYear: 2000 })).toThrow(refusal('releaseYear'));
    expect(() => settleRelease(known, { releaseYear: null })).toThrow(refusal('releaseYear'));
  });
});

describe('the texts of scalars', () => {
  it('a Date is a valid day', () => {
    expect(['2000-02-29', '1870-01-01', '2199-12-31'].every(isDay)).toBe(true);
    expect(
      ['1999-02-29', '1869-12-31', '2200-01-01', '2000-2-9', '2000-13-01', 'infinity', ''].some(isDay),
    ).toBe(false);
  });
  it('a Decimal is an exact decimal number', () => {
    expect(['0', '237000000', '999999999999999.9999', '0.5'].every(isDecimal)).toBe(true);
    expect(['', '-1', '01', '1.', '.5', '1e3', 'NaN', '1.00000', '1000000000000000'].some(isDecimal)).toBe(
      false,
    );
  });
  it('a CurrencyCode is an existing currency', () => {
    expect(['USD', 'EUR', 'JPY'].every(isCurrencyCode)).toBe(true);
    expect(['usd', 'XYZ', ''].some(isCurrencyCode)).toBe(false);
  });
});

describe('genres and slugs', () => {
  it('one name is one genre, however it is written', () => {
    expect(genresOf(['Romantic Comedy', 'romantic  comedy ', 'Drama'])).toEqual([
      { id: 'romantic-comedy', name: 'Romantic Comedy' },
      { id: 'drama', name: 'Drama' },
    ]);
  });
  it('a slug keeps letters of every script and drops accents', () => {
    expect(slugOf('Pedro Almodóvar')).toBe('pedro-almodovar');
    expect(slugOf('  黒澤 明 ')).toBe('黒澤-明');
    expect(slugOf('?!')).toBe('');
  });
});
