import { join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/run-import';
import { readTable } from '@cinegraph/subgraph/import/lines';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { faultText, isExternalFault, scoreOf } from '../foreign-event.js';
import { migrations } from '../migrations.js';
import { openStagedTables, type StagedRating } from './staging.js';

/**
 * `ratings.csv` of a MovieLens folder: half-stars become scores of twice as much, users the viewers `movielens:<user>`, and
 * a movie is `movielens:<id>` unless metadata knows it by its IMDb id as another. Of one user and movie the latest counts.
 */
export const movieLensRatings: Importer<StagedRating> = {
  subgraph: 'rating',
  source: 'movielens',
  items: 'ratings',
  migrations,
  chunkSize: 10_000,
  read: async ([folder, ...more]) => {
    if (folder === undefined || more.length > 0)
      throw new StartError('Usage: npm run import -- movielens <folder>');
    const source = await openSource(join(folder, 'ratings.csv'));
    return {
      total: source.size,
      position: source.position,
      identity: source.identity,
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

const toRating = (cells: readonly string[]): StagedRating | string => {
  const [user = '', movie = '', rating = '', timestamp = ''] = cells;
  if (!isId(user)) return 'userId is no number';
  if (!isId(movie)) return 'movieId is no number';
  if (!/^\d{1,11}$/.test(timestamp)) return 'timestamp is no number of seconds';
  const score = scoreOf(/^\d+(\.\d+)?$/.test(rating) ? Number(rating) : rating, 5);
  return isExternalFault(score)
    ? faultText(score)
    : {
        movieId: `movielens:${movie}`,
        viewerId: `movielens:${user}`,
        score,
        eventTime: new Date(Number(timestamp) * 1000),
      };
};

const isId = (text: string) => /^\d{1,12}$/.test(text);
