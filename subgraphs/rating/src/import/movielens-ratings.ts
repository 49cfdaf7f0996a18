import { join } from 'node:path';
import { Refusal } from '@cinegraph/service/refusal';
import { UsageError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { readTable } from '@cinegraph/subgraph/import/table';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { migrations } from '../migrations.js';
import { scoreOf } from '../rules.js';
import { openStagedTables, type StagedRating } from './staging.js';

/**
 * Imports `ratings.csv` of a MovieLens folder. Stars are doubled to get scores, and users become viewers
 * `movielens:<user>`. A movie is `movielens:<id>`, unless metadata has handed over another id for it. The
 * latest rating of a user and movie counts.
 */
export const movieLensRatings: Importer<StagedRating> = {
  subgraph: 'rating',
  source: 'movielens',
  items: 'ratings',
  migrations,
  chunkSize: 10_000,
  read: async ([folder, ...more]) => {
    if (folder === undefined || more.length > 0)
      throw new UsageError('Usage: npm run import -- movielens <folder>');
    const source = await openSource(join(folder, 'ratings.csv'));
    return {
      total: source.size,
      position: source.position,
      fingerprint: source.fingerprint,
      records: ratingsOf(source),
    };
  },
  open: openStagedTables('movielens'),
};

const ratingsOf = async function* (source: Source): AsyncGenerator<SourceRecord<StagedRating>> {
  for await (const rows of readTable(source, ['userId', 'movieId', 'rating', 'timestamp'])) {
    for (const row of rows) {
      const read = row.fault ?? toRating(row.cells);
      const record = `line ${row.line}`;
      yield typeof read === 'string' ? { record, refused: read, text: row.text } : { record, item: read };
    }
  }
};

/** Returns the rating of a row, or why the row is refused. */
const toRating = (cells: readonly string[]): StagedRating | string => {
  const [user = '', movie = '', rating = '', timestamp = ''] = cells;
  if (!isId(user)) return 'userId is not a number';
  if (!isId(movie)) return 'movieId is not a number';
  if (!/^\d{1,11}$/.test(timestamp)) return 'timestamp is not a number of seconds';
  if (!/^\d+(\.\d+)?$/.test(rating)) return 'the value is not a number';
  const score = scoreOf(Number(rating), 5);
  if (score instanceof Refusal) return `${score.code}: ${score.message}`;
  return {
    movieId: `movielens:${movie}`,
    viewerId: `movielens:${user}`,
    score,
    eventTime: new Date(Number(timestamp) * 1000),
    provider: null,
  };
};

const isId = (text: string) => /^\d{1,12}$/.test(text);
