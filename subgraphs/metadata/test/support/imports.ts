import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import { createImdb } from '../../src/import/imdb-titles.js';
import { createMovieLens } from '../../src/import/movielens-movies.js';
import { metadata } from '../../src/subgraph.js';

/** A line of movies.csv. */
export const toyStory = '1,Toy Story (1995),Adventure|Animation|Comedy';

/** A compressed file of tab-separated values, as IMDb publishes them. */
export const tsv = (columns: string, ...rows: string[]) => gzipSync([columns, ...rows, ''].join('\n'));

/** Starts metadata on an empty database, with a temporary folder for the files of sources. */
export const startImports = async () => {
  const subgraph = await startTestSubgraph(metadata);
  const folder = await mkdtemp(join(tmpdir(), 'sources-'));

  const put = (name: string, content: string | Buffer) => writeFile(join(folder, name), content);

  const movieLensFolder = async (movies: readonly string[], links: readonly string[]) => {
    await put('movies.csv', ['movieId,title,genres', ...movies].join('\r\n'));
    await put('links.csv', ['movieId,imdbId,tmdbId', ...links].join('\r\n'));
    await put('ratings.csv', 'userId,movieId,rating,timestamp\r\n');
  };

  const importMovieLens = () => importInto(createMovieLens(), subgraph.pool, { args: [folder], folder });

  const movieLens = () =>
    movieLensFolder(
      [
        toyStory,
        '11,"American President, The (1995)",Comedy|Drama',
        '108548,"Big Bang Theory, The (2007-)",Comedy',
        '143410,Hyena Road,(no genres listed)',
      ],
      ['1,0114709,862', '11,112346,', '108548,0898266,'],
    );

  const imdbFolder = async () => {
    await put(
      'title.basics.tsv.gz',
      tsv(
        'tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres',
        'tt0114709\tmovie\tToy Story\tToy Story\t0\t1995\t\\N\t81\tAdventure,Animation',
        'tt0000001\tshort\tCarmencita\tCarmencita\t0\t1894\t\\N\t1\tDocumentary',
        'tt0088846\tmovie\t"Brazil"\tBrazil\t0\t1985\t\\N\t132\tDrama',
        'tt9999999\tmovie\tUnknown\tUnknown\t0\t\\N\t\\N\t\\N\t\\N',
        'tt9999998\tmovie\t\\N\t\\N\t0\t\\N\t\\N\t\\N\t\\N',
        'tt9999997\tmovie\tWrong\tWrong\t0\tsoon\t\\N\t\\N\t\\N',
        'tt9999996\tmovie\tCut',
      ),
    );
    await put(
      'title.ratings.tsv.gz',
      tsv(
        'tconst\taverageRating\tnumVotes',
        'tt0088846\t7.8\t214000',
        'tt0000001\t5.7\t2000',
        'tt0114709\t11\t1',
      ),
    );
    await put(
      'title.crew.tsv.gz',
      tsv('tconst\tdirectors\twriters', 'tt0088846\tnm0000416\tnm1', 'tt0114709\tnm0005124,nm0000416\t\\N'),
    );
    await put(
      'name.basics.tsv.gz',
      tsv(
        'nconst\tprimaryName',
        'nm0000416\tTerry Gilliam',
        'nm0005124\tJohn Lasseter',
        'nm0000001\tFred Astaire',
      ),
    );
  };

  const importImdb = () => importInto(createImdb(), subgraph.pool, { args: [folder], folder });

  const movieOf = async (id: string) => {
    const { data } = await subgraph.ask(
      `query ($id: ID!) { movie(id: $id) {
         id title releaseYear runtimeMinutes version genres { id } directors { id name }
         externalIds { source value } externalRatings { source average votes scaleTop } } }`,
      { id },
    );
    return data?.['movie'] as Record<string, unknown> | null;
  };

  /** Returns every row of every table with its physical location, which changes if the row is written. */
  const contents = async () => {
    const all: unknown[] = [];
    for (const table of [
      'movie',
      'person',
      'credit',
      'movie_genre',
      'external_id',
      'external_rating',
      'source_record',
    ]) {
      all.push(
        (await subgraph.pool.query(`SELECT t.ctid::text || t::text AS t FROM ${table} t ORDER BY t.ctid`))
          .rows,
      );
    }
    return all;
  };

  const handover = async () =>
    (await readFile(join(folder, 'handover.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  return {
    subgraph,
    folder,
    put,
    movieLensFolder,
    importMovieLens,
    movieLens,
    imdbFolder,
    importImdb,
    movieOf,
    contents,
    handover,
    stop: async () => {
      await subgraph.stop();
      await rm(folder, { recursive: true });
    },
  };
};
