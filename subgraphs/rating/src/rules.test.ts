import { describe, expect, it } from '@jest/globals';
import { checkRating, decideRating, isScore } from './rules.js';

const command = { movieId: 'm', viewerId: 'v', score: 7, review: null };

describe('a rating', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('may have the score %p', (score) => {
    expect(isScore(score)).toBe(true);
    expect(() => checkRating({ ...command, score })).not.toThrow();
  });

  it.each([-5, 0, 11, 94, 7.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'is refused with RATING_OUT_OF_RANGE for the score %p',
    (score) => {
      expect(() => checkRating({ ...command, score })).toThrow(
        expect.objectContaining({ code: 'RATING_OUT_OF_RANGE' }),
      );
    },
  );

  it.each(['7', true, null, undefined, {}, [7]])('is no score when it is %p', (value) => {
    expect(isScore(value)).toBe(false);
  });

  it('is refused when its review is longer than 10,000 characters', () => {
    expect(() => checkRating({ ...command, review: 'x'.repeat(10_000) })).not.toThrow();
    expect(() => checkRating({ ...command, review: 'x'.repeat(10_001) })).toThrow(
      expect.objectContaining({ code: 'REVIEW_TOO_LONG' }),
    );
  });

  it('is refused for a movie id that is empty or longer than 200 characters', () => {
    for (const movieId of ['', 'x'.repeat(201)]) {
      expect(() => checkRating({ ...command, movieId })).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT' }),
      );
    }
  });

  it('is refused for a deleted movie, but can still be taken back from it', () => {
    expect(decideRating({ deleted: true }, command)).toMatchObject({ code: 'MOVIE_DELETED' });
    expect(decideRating({ deleted: true }, { ...command, score: null })).toBeNull();
    expect(decideRating({ deleted: false }, command)).toBeNull();
  });
});
