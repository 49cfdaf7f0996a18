import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { catalogueSample, sampleOf } from './sample.js';

const meanOf = (scores: readonly { score: number }[]) =>
  scores.reduce((sum, { score }) => sum + score, 0) / scores.length;

describe('the sample of a movie', () => {
  it('the sample of a movie is the same for each draw, and differs for another movie', () => {
    const movie = { id: 'vega:1', average: 6.4, votes: 90_000 };
    expect(sampleOf(movie)).toEqual(sampleOf(movie));
    expect(sampleOf({ ...movie, id: 'vega:2' })).not.toEqual(sampleOf(movie));
  });

  it.each([1, 1.4, 2.9, 5, 6.1, 8.7, 9.6, 10])(
    'the sample of a movie has the published mean %p as closely as whole scores allow',
    (average) => {
      const sample = sampleOf({ id: `m${average}`, average, votes: 200_000 });
      expect(Math.abs(meanOf(sample) - average)).toBeLessThanOrEqual(0.5 / sample.length + 1e-9);
      expect(sample.every(({ score }) => score >= 1 && score <= 10)).toBe(true);
    },
  );

  it('the sample of a movie has from 5 to 120 votes, one for each viewer', () => {
    for (const votes of [1, 900, 40_000, 2_000_000]) {
      const sample = sampleOf({ id: `v${votes}`, average: 7, votes });
      expect(new Set(sample.map(({ viewerId }) => viewerId)).size).toBe(sample.length);
      expect(sample.length).toBeGreaterThanOrEqual(5);
      expect(sample.length).toBeLessThanOrEqual(120);
    }
  });
});

describe('the sample of a catalogue', () => {
  it('the sample of a catalogue is drawn for the movies of the given file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'catalogue-'));
    const file = join(folder, 'movies.json');
    const film = { Title: 'A', 'IMDB Rating': 6, 'IMDB Votes': 400 };
    await writeFile(file, JSON.stringify([{ Title: 'No votes' }, film, { ...film, Title: null }, 7]));
    const { records, total } = await catalogueSample.read([file], { values: {}, folder });
    const movies = new Set<string>();
    for await (const entry of records) if ('item' in entry) movies.add(entry.item.movieId);
    expect([...movies]).toEqual(['vega:2']);
    expect(total).toBe(5);
    await rm(folder, { recursive: true });
  });
});
