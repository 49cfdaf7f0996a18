import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/run-import';
import { z } from 'zod';
import { migrations } from '../migrations.js';
import { openRatingTables, type ImportedRating } from './write.js';

/**
 * Ratings for the default catalogue, or the file of that form that is named: a sample, not real votes. For each movie with a published IMDb average it draws
 * votes of `sample:<n>` viewers whose mean is that average as closely as whole scores allow. Seeded by the movie's id,
 * so that every run and every machine draws the same.
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

/** What the sample needs of a movie: its place in the catalogue and what IMDb published. */
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

/** The movies of the file that have a title and a published average; ids are `vega:<row>`, counted from 1. */
const readCatalogue = async (file: string): Promise<readonly PublishedMovie[]> => {
  const rows = z.array(z.unknown()).parse(JSON.parse(await readFile(file, 'utf8')));
  return rows.flatMap((row, index) => {
    const { data } = rowSchema.safeParse(row);
    return data ? [{ id: `vega:${index + 1}`, average: data['IMDB Rating'], votes: data['IMDB Votes'] }] : [];
  });
};

/** Viewers of the sample; a prime, so that every step through them visits each once. */
const viewerCount = 997;

const maxVotes = 120;
const minVotes = 5;

/** The spread of IMDb votes around their mean, roughly. */
const deviation = 1.8;

/** The ratings drawn for one movie: between 5 and 120, more where more people voted. */
export const sampleOf = ({ id, average, votes }: PublishedMovie): readonly ImportedRating[] => {
  const random = seededBy(id);
  const count = Math.min(maxVotes, Math.max(minVotes, Math.round(Math.sqrt(votes) / 4)));
  const scores = Array.from({ length: count }, () => clamp(Math.round(average + deviation * normal(random))));
  // The draw is moved, vote by vote, until its mean is the published one.
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

/** The votes are dated somewhere in 2025. */
const sampleEpoch = Date.UTC(2025, 0, 1);
const sampleSpanSeconds = 365 * 24 * 60 * 60;

const toRecord = (item: ImportedRating): SourceRecord<ImportedRating> => ({
  record: `${item.movieId} ${item.viewerId}`,
  item,
});

const clamp = (score: number) => Math.min(10, Math.max(1, score));

/** Numbers in [0, 1) from a seed: mulberry32 (Tommy Ettinger, public domain) over 32 bits of the text's SHA-256. */
const seededBy = (text: string) => {
  let state = createHash('sha256').update(text).digest().readInt32LE();
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** A standard normal number (Box and Muller, 1958). */
const normal = (random: () => number) =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
