import { join } from 'node:path';
import { UsageError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { readTable } from '@cinegraph/subgraph/import/table';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { migrations } from '../migrations.js';
import { handOverMovies } from './handover.js';
import { toSourceRecord, type SourceMovie } from './source-movie.js';
import { splitTitle } from './movielens-title.js';
import { openMovieTables } from './write.js';

/** The ids of a movie in links.csv; an empty text means that it has none. */
interface Links {
  readonly imdbId: string;
  readonly tmdbId: string;
}

/**
 * Creates an importer of a MovieLens folder: the movies of `movies.csv` with the ids of `links.csv`. A movie
 * gets the id `movielens:<id>`, unless another source has added the film. Then that movie keeps its id, and
 * the hand-over file maps `movielens:<id>` to it. An importer can be used for one import only.
 */
export const createMovieLens = (): Importer<SourceMovie> => {
  // About 100 bytes a movie; the largest MovieLens dataset has 90,000 movies.
  const links = new Map<string, Links>();
  return {
    subgraph: 'metadata',
    source: 'movielens',
    items: 'movies',
    migrations,
    read: async ([folder, ...more]) => {
      if (folder === undefined || more.length > 0) {
        throw new UsageError('Usage: npm run import -- movielens <folder>');
      }
      const movies = await openSource(join(folder, 'movies.csv'));
      const linked = await openSource(join(folder, 'links.csv'));
      // Opened before anything is written, so that an incomplete folder changes nothing.
      await openSource(join(folder, 'ratings.csv'));
      return { total: movies.size, position: movies.position, records: readFolder(linked, movies, links) };
    },
    open: openMovieTables('movielens'),
    handOver: (pool) =>
      handOverMovies(
        pool,
        [...links].flatMap(([id, { imdbId }]) =>
          imdbId === '' ? [] : [[`movielens:${id}`, imdbId] as const],
        ),
      ),
  };
};

const readFolder = async function* (
  linked: Source,
  movies: Source,
  links: Map<string, Links>,
): AsyncGenerator<SourceRecord<SourceMovie>> {
  for await (const rows of readTable(linked, ['movieId', 'imdbId', 'tmdbId'])) {
    for (const row of rows) {
      const read = row.fault ?? toLinks(row.cells);
      if (typeof read === 'string') {
        yield { record: `links.csv line ${row.line}`, refused: read, text: row.text };
      } else {
        links.set(read.id, read);
      }
    }
  }
  for await (const rows of readTable(movies, ['movieId', 'title', 'genres'])) {
    for (const row of rows) {
      const record = `line ${row.line}`;
      if (row.fault !== undefined) yield { record, refused: row.fault, text: row.text };
      else yield readMovieLensMovie(record, row.cells, links);
    }
  }
};

const toLinks = (cells: readonly string[]): (Links & { readonly id: string }) | string => {
  const [id = '', imdb = '', tmdb = ''] = cells.map((cell) => cell.trim());
  if (!/^\d{1,12}$/.test(id)) return 'movieId is not a number';
  if (!/^\d{0,10}$/.test(imdb)) return 'imdbId is not a number';
  if (!/^\d{0,10}$/.test(tmdb)) return 'tmdbId is not a number';
  return { id, imdbId: imdb === '' ? '' : `tt${imdb.padStart(7, '0')}`, tmdbId: tmdb };
};

/** Converts a row of movies.csv (movieId, title, genres) to a movie, or refuses it with a reason. */
export const readMovieLensMovie = (
  record: string,
  cells: readonly string[],
  links: ReadonlyMap<string, Links>,
): SourceRecord<SourceMovie> => {
  const [id = '', titleAndYear = '', genres = ''] = cells;
  if (!/^\d{1,12}$/.test(id)) return { record, refused: 'movieId is not a number', text: cells.join(',') };
  const { imdbId = '', tmdbId = '' } = links.get(id) ?? {};
  const externalIds = [
    ...(imdbId === '' ? [] : [{ source: 'imdb', value: imdbId }]),
    ...(tmdbId === '' ? [] : [{ source: 'tmdb', value: tmdbId }]),
  ];
  return toSourceRecord(record, {
    id: `movielens:${id}`,
    ...splitTitle(titleAndYear),
    facts: { externalIds },
    genres: genres === '' || genres === '(no genres listed)' ? [] : genres.split('|'),
  });
};
