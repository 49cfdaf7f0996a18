import { describe, expect, it } from '@jest/globals';
import { checkRating, decideEvent, decideRating, isScore, scoreOf } from './rules.js';

const command = { movieId: 'm', viewerId: 'v', score: 7, review: null };

describe('a rating', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('a rating may have the score %p', (score) => {
    expect(isScore(score)).toBe(true);
    expect(() => checkRating({ ...command, score })).not.toThrow();
  });

  it.each([-5, 0, 11, 94, 7.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'a rating is refused with RATING_OUT_OF_RANGE for the score %p',
    (score) => {
      expect(() => checkRating({ ...command, score })).toThrow(
        expect.objectContaining({ code: 'RATING_OUT_OF_RANGE' }),
      );
    },
  );

  it.each(['7', true, null, undefined, {}, [7]])('a rating has no score if it is %p', (value) => {
    expect(isScore(value)).toBe(false);
  });

  it('a rating is refused if its review is longer than 10,000 characters', () => {
    expect(() => checkRating({ ...command, review: 'x'.repeat(10_000) })).not.toThrow();
    expect(() => checkRating({ ...command, review: 'x'.repeat(10_001) })).toThrow(
      expect.objectContaining({ code: 'REVIEW_TOO_LONG' }),
    );
  });

  it('a rating is refused if its movie id is empty or longer than 200 characters', () => {
    for (const movieId of ['', 'x'.repeat(201)]) {
      expect(() => checkRating({ ...command, movieId })).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT' }),
      );
    }
  });

  it('a rating of a deleted movie is refused, but can still be retracted', () => {
    for (const decide of [decideEvent, decideRating, decideEvent]) {
      expect(decide('deleted', command)).toMatchObject({ code: 'MOVIE_DELETED' });
      expect(decide('deleted', { ...command, score: null })).toBeNull();
      expect(decide('known', command)).toBeNull();
    }
  });

  it('a rating of an unknown movie is refused from a viewer, and kept from an event', () => {
    expect(decideRating('unknown', command)).toMatchObject({ code: 'MOVIE_NOT_FOUND' });
    expect(decideRating('unknown', { ...command, score: null })).toBeNull();
    expect(decideEvent('unknown', command)).toBeNull();
  });
});

describe('a value on the scale of a source', () => {
  it.each([
    [0.5, 5, 1],
    [3.5, 5, 7],
    [5, 5, 10],
    [1, 10, 1],
    [10, 10, 10],
  ] as const)('the value %p on a scale of %p is the score %p', (value, scale, score) => {
    expect(scoreOf(value, scale)).toBe(score);
  });

  it.each([
    [0, 5],
    [3.2, 5],
    [5.5, 5],
    [2.5, 10],
    [11, 10],
    [Number.NaN, 10],
  ] as const)('the value %p is not on a scale of %p', (value, scale) => {
    expect(scoreOf(value, scale)).toMatchObject({ code: 'RATING_OUT_OF_RANGE' });
  });
});
