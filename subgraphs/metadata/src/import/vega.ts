import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { z } from 'zod';
import type { Certification } from '../generated/resolvers.js';
import { migrations } from '../migrations.js';
import { slugOf } from '../rules.js';
import { handOverMovies } from './handover.js';
import { repairMacRoman } from './mac-roman.js';
import { toSourceRecord, type PublishedRating, type SourceMovie } from './source-movie.js';
import { openMovieTables } from './write.js';

/**
 * Imports the default catalogue, `data/movies.json` of the npm package vega-datasets, or another file of that
 * form. A movie gets the id `vega:<row>`, with rows counted from 1, and a director gets `person:vega:<name>`.
 */
export const catalogue: Importer<SourceMovie> = {
  subgraph: 'metadata',
  source: 'catalogue',
  items: 'movies',
  migrations,
  read: async ([file = catalogueFile()]) => {
    const rows = await readRows(file);
    return { total: rows.length, records: rows.map((row, index) => readVegaMovie(row, index + 1)) };
  },
  open: openMovieTables('vega'),
  handOver: (pool) => handOverMovies(pool),
};

/** The largest accepted file; the one of vega-datasets has 1.4 MB. */
const maxFileBytes = 100_000_000;

const catalogueFile = (): string => {
  const entry = createRequire(import.meta.url).resolve('vega-datasets');
  return join(dirname(entry), '..', 'data', 'movies.json');
};

const readRows = async (file: string): Promise<readonly unknown[]> => {
  try {
    const { size } = await stat(file);
    if (size <= maxFileBytes) return z.array(z.unknown()).parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    throw new StartError(`The catalogue ${file} cannot be read as a JSON array of movies.`, { cause: error });
  }
  throw new StartError(`The catalogue ${file} has more than ${maxFileBytes} bytes.`);
};

const text = z.string().nullish();
const amount = z.number().int().min(0).nullish();

const rowSchema = z.object({
  Title: z.union([z.string(), z.number()]).nullish(),
  'Release Date': text,
  Director: text,
  'Major Genre': text,
  'MPAA Rating': text,
  'Running Time min': z.number().int().nullish(),
  'Production Budget': amount,
  'Worldwide Gross': amount,
  'US Gross': amount,
  'US DVD Sales': amount,
  'Rotten Tomatoes Rating': z.number().min(0).max(100).nullish(),
  'IMDB Rating': z.number().min(0).max(10).nullish(),
  'IMDB Votes': z.number().int().min(0).nullish(),
});

/** Converts a row of the catalogue to a movie, or refuses it with a reason. A title may be a number. */
export const readVegaMovie = (value: unknown, row: number): SourceRecord<SourceMovie> => {
  const record = `row ${row}`;
  const parsed = rowSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { record, refused: `${issue?.path.join('.') ?? 'the row'}: ${issue?.message ?? 'unusable'}` };
  }
  const source = parsed.data;
  if (source.Title == null) return { record, refused: 'the title is missing' };
  const releaseDate = source['Release Date'] == null ? null : readVegaDate(source['Release Date']);
  const director = repairMacRoman(source.Director?.trim() ?? '');
  return toSourceRecord(record, {
    id: `vega:${row}`,
    title: repairMacRoman(String(source.Title)),
    releaseDate: releaseDate ?? null,
    // A date of another form than Jun 12 1998.
    leftOut: releaseDate === undefined ? ['releaseDate'] : [],
    genres: source['Major Genre'] == null ? [] : [source['Major Genre']],
    facts: {
      runtimeMinutes: source['Running Time min'] ?? null,
      certification: certifications.get(source['MPAA Rating'] ?? '') ?? null,
      productionBudget: dollars(source['Production Budget']),
      worldwideGross: dollars(source['Worldwide Gross']),
      domesticGross: dollars(source['US Gross']),
      domesticDvdSales: dollars(source['US DVD Sales']),
      directors: director === '' ? [] : [{ id: `person:vega:${slugOf(director)}`, name: director }],
    },
    externalRatings: readRatings(source),
  });
};

/** The certifications in the file. `Open`, which occurs twice, is not one of the MPA and is dropped. */
const certifications: ReadonlyMap<string, Certification> = new Map([
  ['G', 'G'],
  ['PG', 'PG'],
  ['PG-13', 'PG_13'],
  ['R', 'R'],
  ['NC-17', 'NC_17'],
  ['Not Rated', 'NOT_RATED'],
]);

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** The latest year in the file, which was made in 2010 and lists future releases up to December 2011. */
const lastYear = 2011;

/**
 * Converts a date like `Jun 12 1998` to YYYY-MM-DD; returns undefined for another form. The years of the file
 * once had two digits, and early ones were expanded to the wrong century. A year after 2011 is therefore a
 * hundred years too late: `Dec 15 2039` is the release of Gone with the Wind, in 1939.
 */
export const readVegaDate = (value: string): string | undefined => {
  const [, name = '', day = '', digits = ''] = /^([A-Z][a-z]{2}) (\d{2}) (\d{4})$/.exec(value) ?? [];
  const month = months.indexOf(name) + 1;
  if (month === 0) return undefined;
  const year = Number(digits) > lastYear ? Number(digits) - 100 : Number(digits);
  return `${year}-${String(month).padStart(2, '0')}-${day}`;
};

const dollars = (value: number | null | undefined) =>
  value == null ? null : { amount: String(value), currency: 'USD' };

const readRatings = (source: z.output<typeof rowSchema>): readonly PublishedRating[] => {
  const ratings: PublishedRating[] = [];
  const imdb = source['IMDB Rating'];
  const tomatoes = source['Rotten Tomatoes Rating'];
  if (imdb != null) {
    ratings.push({ source: 'imdb', average: imdb, votes: source['IMDB Votes'] ?? null, scaleTop: 10 });
  }
  if (tomatoes != null)
    ratings.push({ source: 'rottentomatoes', average: tomatoes, votes: null, scaleTop: 100 });
  return ratings;
};
