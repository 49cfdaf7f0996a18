import { describe, expect, it } from '@jest/globals';
import { movieHandoverEntry, type MovieHandoverEntry } from './movie-handover.js';

const entries: readonly MovieHandoverEntry[] = [
  { movie: 'vega:1', version: 3, deleted: false },
  { movie: 'imdb:tt0000001', version: 1, deleted: true },
  { movie: 'movielens:318', version: 2, deleted: false, joinedInto: 'vega:1' },
  { alias: 'movielens:1', movie: 'vega:1' },
];

describe('a line of the hand-over file', () => {
  it.each(entries)('a line of the hand-over file is the same after it was written and read: %j', (entry) => {
    expect(movieHandoverEntry.parse(JSON.parse(JSON.stringify(entry)))).toEqual(entry);
  });

  it.each([
    ['a movie without a version', { movie: 'vega:1', deleted: false }],
    ['a movie whose version is a string', { movie: 'vega:1', version: '3', deleted: false }],
    ['an alias of no movie', { alias: 'movielens:1' }],
    ['neither a movie nor an alias', {}],
  ])('a line of the hand-over file is refused if it is %s', (_case, entry) => {
    expect(movieHandoverEntry.safeParse(entry).success).toBe(false);
  });
});
