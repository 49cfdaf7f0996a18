import { describe, expect, it } from '@jest/globals';
import { sampleOf } from './sample.js';

const meanOf = (scores: readonly { score: number }[]) =>
  scores.reduce((sum, { score }) => sum + score, 0) / scores.length;

describe('the sample of a movie', () => {
  it('is the same at every draw, and another for another movie', () => {
    const movie = { id: 'vega:1', average: 6.4, votes: 90_000 };
    expect(sampleOf(movie)).toEqual(sampleOf(movie));
    expect(sampleOf({ ...movie, id: 'vega:2' })).not.toEqual(sampleOf(movie));
  });

  it.each([1, 1.4, 2.9, 5, 6.1, 8.7, 9.6, 10])(
    'has the published mean %p as closely as whole scores allow',
    (average) => {
      const sample = sampleOf({ id: `m${average}`, average, votes: 200_000 });
      expect(Math.abs(meanOf(sample) - average)).toBeLessThanOrEqual(0.5 / sample.length + 1e-9);
      expect(sample.every(({ score }) => score >= 1 && score <= 10)).toBe(true);
    },
  );

  it('has one vote a viewer, between 5 and 120 of them', () => {
    for (const votes of [1, 900, 40_000, 2_000_000]) {
      const sample = sampleOf({ id: `v${votes}`, average: 7, votes });
      expect(new Set(sample.map(({ viewerId }) => viewerId)).size).toBe(sample.length);
      expect(sample.length).toBeGreaterThanOrEqual(5);
      expect(sample.length).toBeLessThanOrEqual(120);
    }
  });
});
