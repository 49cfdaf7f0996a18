import { join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/run-import';
import { readTable } from '@cinegraph/subgraph/import/lines';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { migrations } from '../migrations.js';
import { handOverMovies } from './handover.js';
import { toSourceRecord, type SourceMovie } from './source-movie.js';
import { openMovieTables } from './write.js';

/** What links.csv knows of a movie. */
interface Links {
  readonly imdbId: string;
  readonly tmdbId: string;
}

/**
 * The movies of a MovieLens folder, `movies.csv` with the ids of `links.csv`. A movie is `movielens:<id>`, unless its IMDb id is
 * known here: then it keeps its id, and rating is told under which one. One import by each answer of this function.
 */
export const createMovieLens = (): Importer<SourceMovie> => {
  // A movie is 100 bytes here; the largest MovieLens has 90,000.
  const links = new Map<string, Links>();
  return {
    subgraph: 'metadata',
    source: 'movielens',
    items: 'movies',
    migrations,
    read: async ([folder, ...more]) => {
      if (folder === undefined || more.length > 0) {
        throw new StartError('Usage: npm run import -- movielens <folder>');
      }
      const movies = await openSource(join(folder, 'movies.csv'));
      const linked = await openSource(join(folder, 'links.csv'));
      // Looked at before anything is written, so that half a folder changes nothing.
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
  if (!/^\d{1,12}$/.test(id)) return 'movieId is no number';
  if (!/^\d{0,10}$/.test(imdb)) return 'imdbId is no number';
  if (!/^\d{0,10}$/.test(tmdb)) return 'tmdbId is no number';
  return { id, imdbId: imdb === '' ? '' : `tt${imdb.padStart(7, '0')}`, tmdbId: tmdb };
};

/** A row of movies.csv (movieId, title, genres) as a movie, or refused with the reason. */
export const readMovieLensMovie = (
  record: string,
  cells: readonly string[],
  links: ReadonlyMap<string, Links>,
): SourceRecord<SourceMovie> => {
  const [id = '', told = '', genres = ''] = cells;
  if (!/^\d{1,12}$/.test(id)) return { record, refused: 'movieId is no number', text: cells.join(',') };
  const { imdbId = '', tmdbId = '' } = links.get(id) ?? {};
  const externalIds = [
    ...(imdbId === '' ? [] : [{ source: 'imdb', value: imdbId }]),
    ...(tmdbId === '' ? [] : [{ source: 'tmdb', value: tmdbId }]),
  ];
  return toSourceRecord(record, {
    id: `movielens:${id}`,
    ...splitTitle(told),
    facts: { externalIds },
    genres: genres === '' || genres === '(no genres listed)' ? [] : genres.split('|'),
  });
};

/** `Big Bang Theory, The (2007-)` is The Big Bang Theory of 2007; the year of a series is its first. */
const splitTitle = (told: string): { title: string; releaseYear: number | null } => {
  const text = told.trim();
  const [ending = '', year] = /\((\d{4})(?:[-–]\d{0,4})?\)$/.exec(text) ?? [];
  const name = text.slice(0, text.length - ending.length).trim();
  const [, rest = '', article] = /^(.+), (The|A|An)$/s.exec(name) ?? [];
  return {
    title: article === undefined ? name : `${article} ${rest}`,
    releaseYear: year === undefined ? null : Number(year),
  };
};
