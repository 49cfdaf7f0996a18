import { describe, expect, it } from '@jest/globals';
import { readVegaDate, readVegaMovie } from './vega.js';

const row = { Title: 'The Land Girls', 'Release Date': 'Jun 12 1998' };

describe('a row of the default catalogue', () => {
  it('a row becomes a movie with its director, genre, certification, money and published ratings', () => {
    const read = readVegaMovie(
      {
        ...row,
        'US Gross': 146_083,
        'Worldwide Gross': 2_767_891_499,
        'US DVD Sales': null,
        'Production Budget': 8_000_000,
        'MPAA Rating': 'PG-13',
        'Running Time min': 111,
        'Major Genre': 'Thriller/Suspense',
        Director: 'Pedro Almodóvar',
        'Rotten Tomatoes Rating': 62,
        'IMDB Rating': 6.1,
        'IMDB Votes': 1_071,
        Distributor: 'Gramercy',
      },
      1,
    );
    expect(read).toMatchObject({
      record: 'row 1',
      item: {
        id: 'vega:1',
        facts: {
          title: 'The Land Girls',
          release: { date: '1998-06-12', year: 1998 },
          runtimeMinutes: 111,
          certification: 'PG_13',
          genres: [{ id: 'thriller-suspense', name: 'Thriller/Suspense' }],
          directors: [{ id: 'person:vega:pedro-almodovar', name: 'Pedro Almodóvar' }],
          productionBudget: { amount: '8000000', currency: 'USD' },
          worldwideGross: { amount: '2767891499', currency: 'USD' },
          domesticGross: { amount: '146083', currency: 'USD' },
          domesticDvdSales: null,
        },
        externalRatings: [
          { source: 'imdb', average: 6.1, votes: 1_071, scaleTop: 10 },
          { source: 'rottentomatoes', average: 62, votes: null, scaleTop: 100 },
        ],
      },
    });
  });

  it('a row may have a number as its title', () => {
    expect(readVegaMovie({ ...row, Title: 2046 }, 7)).toMatchObject({ item: { facts: { title: '2046' } } });
  });

  it.each([
    ['without a title', { ...row, Title: null }, /title is missing/],
    ['with a title of spaces', { ...row, Title: '  ' }, /title/],
    ['with a runtime that is no number', { ...row, 'Running Time min': 'long' }, /Running Time min/],
    ['with U+0000 in its title', { ...row, Title: 'a\u0000b' }, /cannot be stored/],
    ['that is no object', 'The Land Girls', /./],
  ])('a row %s is refused with a reason', (_case, value, reason) => {
    expect(readVegaMovie(value, 3)).toEqual({ record: 'row 3', refused: expect.stringMatching(reason) });
  });

  it('a row with damaged letters becomes a movie with the right ones', () => {
    expect(readVegaMovie({ ...row, Title: 'LÈon', Director: 'Luc BessÛn' }, 1)).toMatchObject({
      item: { facts: { title: 'Léon', directors: [{ id: 'person:vega:luc-besson', name: 'Luc Bessón' }] } },
    });
  });

  it.each([
    ['a date of another form', { 'Release Date': '12/06/98' }, 'releaseDate'],
    ['a day that no month has', { 'Release Date': 'Feb 30 1998' }, 'releaseDate'],
    ['an endless runtime', { 'Running Time min': 51_420 }, 'runtimeMinutes'],
    ['a director with an endless name', { Director: 'x'.repeat(201) }, 'directors'],
    ['a genre with an endless name', { 'Major Genre': 'x'.repeat(51) }, 'genres'],
  ])('a row with %s becomes a movie without it', (_case, value, field) => {
    const read = readVegaMovie({ ...row, ...value }, 1);
    expect(read).toMatchObject({ item: { id: 'vega:1' }, leftOut: [field] });
  });

  it('a row with an unknown certification becomes a movie without one', () => {
    expect(readVegaMovie({ ...row, 'MPAA Rating': 'Open' }, 1)).toMatchObject({
      item: { facts: { certification: null } },
    });
  });
});

describe('a date of the default catalogue', () => {
  it.each([
    ['Jun 12 1998', '1998-06-12'],
    ['Dec 23 2011', '2011-12-23'],
    ['Dec 15 2039', '1939-12-15'],
    ['Feb 08 2015', '1915-02-08'],
    ['Jan 01 1928', '1928-01-01'],
  ])('the date %s is read as %s', (value, day) => {
    expect(readVegaDate(value)).toBe(day);
  });

  it.each(['1998-06-12', 'Juni 12 1998', '', 'Jun 1998'])('"%s" is not read as a date', (value) => {
    expect(readVegaDate(value)).toBeUndefined();
  });
});
