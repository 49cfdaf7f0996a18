import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { z } from 'zod';
import { migrations } from '../migrations.js';
import { openRatingTables, type ImportedRating } from './write.js';

/**
 * Imports sample ratings for the default catalogue, or for a file of the same format. They are not real
 * votes. For each movie with a published IMDb average it draws votes of viewers `sample:<n>`, whose mean is
 * as close to that average as whole scores allow. The random numbers are seeded with the id of the movie, so
 * that every run draws the same votes.
 */
export const catalogueSample: Importer<ImportedRating> = {
  subgraph: 'rating',
  source: 'catalogue',
  items: 'sample ratings',
  migrations,
  chunkSize: 5_000,
  read: async ([file = catalogueFile()]) => {
    const ratings = (await readCatalogue(file)).flatMap(sampleOf);
    return { total: ratings.length, records: ratings.map(toRecord) };
  },
  open: openRatingTables,
};

/** What the sample needs of a movie: its id, and the average and number of votes that IMDb published. */
export interface PublishedMovie {
  readonly id: string;
  readonly average: number;
  readonly votes: number;
}

const rowSchema = z.object({
  Title: z.union([z.string(), z.number()]),
  'IMDB Rating': z.number().min(1).max(10),
  'IMDB Votes': z.number(),
});

const catalogueFile = (): string => {
  const entry = createRequire(import.meta.url).resolve('vega-datasets');
  return join(dirname(entry), '..', 'data', 'movies.json');
};

/**
 * Returns the movies that have a title and a published average. Their ids are `vega:<row>`, counted from 1.
 */
const readCatalogue = async (file: string): Promise<readonly PublishedMovie[]> => {
  const rows = z.array(z.unknown()).parse(JSON.parse(await readFile(file, 'utf8')));
  return rows.flatMap((row, index) => {
    const { data } = rowSchema.safeParse(row);
    return data ? [{ id: `vega:${index + 1}`, average: data['IMDB Rating'], votes: data['IMDB Votes'] }] : [];
  });
};

/** The number of viewers. It is a prime, so that every step size visits each viewer once. */
const viewerCount = 997;

const maxVotes = 120;
const minVotes = 5;

/** The approximate standard deviation of IMDb votes. */
const deviation = 1.8;

/** Draws the ratings of one movie: from 5 to 120, and more for a movie with more votes. */
export const sampleOf = ({ id, average, votes }: PublishedMovie): readonly ImportedRating[] => {
  const random = seededBy(id);
  const count = Math.min(maxVotes, Math.max(minVotes, Math.round(Math.sqrt(votes) / 4)));
  const scores = Array.from({ length: count }, () => clamp(Math.round(average + deviation * normal(random))));
  // Votes are changed by one, one after another, until their mean is the published one.
  let missing = Math.round(average * count) - scores.reduce((sum, score) => sum + score, 0);
  for (let at = 0; missing !== 0; at = (at + 1) % count) {
    const score = scores[at] ?? minVotes;
    const moved = clamp(score + Math.sign(missing));
    scores[at] = moved;
    missing -= moved - score;
  }
  const start = Math.floor(random() * viewerCount);
  const step = 1 + Math.floor(random() * (viewerCount - 1));
  return scores.map((score, at) => ({
    movieId: id,
    viewerId: `sample:${((start + at * step) % viewerCount) + 1}`,
    score,
    writtenAt: new Date(sampleEpoch + Math.floor(random() * sampleSpanSeconds) * 1000),
  }));
};

/** The votes have times in 2025. */
const sampleEpoch = Date.UTC(2025, 0, 1);
const sampleSpanSeconds = 365 * 24 * 60 * 60;

const toRecord = (item: ImportedRating): SourceRecord<ImportedRating> => ({
  record: `${item.movieId} ${item.viewerId}`,
  item,
});

const clamp = (score: number) => Math.min(10, Math.max(1, score));

/**
 * Returns a generator of numbers in [0, 1): mulberry32 (Tommy Ettinger, public domain), seeded with 32 bits
 * of the SHA-256 of the text.
 */
const seededBy = (text: string) => {
  let state = createHash('sha256').update(text).digest().readInt32LE();
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** Returns a normally distributed number with mean 0 and deviation 1 (Box and Muller, 1958). */
const normal = (random: () => number) =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
