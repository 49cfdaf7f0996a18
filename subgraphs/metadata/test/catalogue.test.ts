import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toSourceRecord, type SourceMovie, type SourceMovieInput } from '../src/import/source-movie.js';
import { catalogue } from '../src/import/vega.js';
import { openMovieTables } from '../src/import/write.js';
import { metadata } from '../src/subgraph.js';
import { asEditor } from './support/mutations.js';

const tables = [
  'movie',
  'person',
  'credit',
  'genre',
  'movie_genre',
  'external_id',
  'external_rating',
  'source_record',
];

let subgraph: TestSubgraph;
let folder: string;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
  folder = await mkdtemp(join(tmpdir(), 'catalogue-'));
});
afterAll(async () => {
  await subgraph.stop();
  await rm(folder, { recursive: true });
});

/**
 * Returns every row of every table with its physical location, which changes if the row is written, even with
 * the same values.
 */
const contents = async () => {
  const all: Record<string, string> = {};
  for (const table of tables) {
    const { rows } = await subgraph.pool.query<{ text: string }>(
      `SELECT coalesce(string_agg(t.ctid::text || t::text, E'\\n' ORDER BY t.ctid), '') AS text FROM ${table} t`,
    );
    all[table] = rows[0]?.text ?? '';
  }
  return all;
};

const importRows = async (rows: readonly unknown[]) => {
  const file = join(folder, 'movies.json');
  await writeFile(file, JSON.stringify(rows));
  return importInto(catalogue, subgraph.pool, { args: [file] });
};

const importMovies = (...movies: SourceMovieInput[]) =>
  importInto<SourceMovie>(
    {
      ...catalogue,
      read: async () => ({
        records: movies.map((movie, index) => toSourceRecord(`movie ${index + 1}`, movie)),
      }),
      open: openMovieTables('elsewhere'),
    },
    subgraph.pool,
  );

const movieOf = async (id: string) => {
  const { data } = await subgraph.ask(
    `query ($id: ID!) { movie(id: $id) {
       title description releaseDate releaseYear runtimeMinutes certification version languages
       genres { id } directors { id name } cast { position character person { name } }
       externalIds { source value } externalRatings { source average votes scaleTop }
       productionBudget { amount currency } worldwideGross { amount } domesticGross { amount } domesticDvdSales { amount } } }`,
    { id },
  );
  return data?.['movie'] as Record<string, unknown> | null;
};

describe('the import of the default catalogue', () => {
  it('the import of the catalogue reads 3,201 movies, refuses the one without a title and writes the others', async () => {
    const report = await importInto(catalogue, subgraph.pool);
    expect(report).toEqual({
      read: 3_201,
      written: 3_200,
      unchanged: 0,
      refusedCount: 1,
      refused: [{ record: 'row 3054', reason: 'the title is missing' }],
      notes: ['0 matched with films of other sources, 3200 new, 0 ambiguous'],
    });
    const { rows } = await subgraph.pool.query(
      `SELECT (SELECT count(*)::int FROM movie) AS movies, (SELECT count(*)::int FROM person) AS people,
         (SELECT count(*)::int FROM genre) AS genres, (SELECT count(*)::int FROM credit) AS credits,
         (SELECT count(*)::int FROM external_rating) AS ratings, (SELECT max(release_year) FROM movie) AS latest`,
    );
    expect(rows).toEqual([
      { movies: 3_200, people: 550, genres: 12, credits: 1_870, ratings: 5_307, latest: 2011 },
    ]);
  });

  it('an imported movie has every fact that the file has of it', async () => {
    expect(await movieOf('vega:1')).toEqual({
      title: 'The Land Girls',
      description: null,
      releaseDate: '1998-06-12',
      releaseYear: 1998,
      runtimeMinutes: null,
      certification: 'R',
      version: 1,
      languages: [],
      genres: [],
      directors: [],
      cast: [],
      externalIds: [],
      externalRatings: [{ source: 'imdb', average: 6.1, votes: 1_071, scaleTop: 10 }],
      productionBudget: { amount: '8000000', currency: 'USD' },
      worldwideGross: { amount: '146083' },
      domesticGross: { amount: '146083' },
      domesticDvdSales: null,
    });
  });

  it('an amount beyond 32 bits is exact after the import', async () => {
    const { rows } = await subgraph.pool.query<{ id: string }>(
      'SELECT id FROM movie ORDER BY worldwide_gross DESC NULLS LAST LIMIT 1',
    );
    expect(await movieOf(rows[0]?.id ?? '')).toMatchObject({
      title: 'Avatar',
      worldwideGross: { amount: '2767891499' },
    });
  });

  it('movies that share a title stay separate in the import', async () => {
    const { rows } = await subgraph.pool.query(
      'SELECT count(*)::int AS titles FROM (SELECT title FROM movie GROUP BY title HAVING count(*) > 1) AS t',
    );
    expect((rows[0] as { titles: number }).titles).toBeGreaterThanOrEqual(24);
  });

  it('an import of the same file writes no row', async () => {
    const before = await contents();
    expect(await importInto(catalogue, subgraph.pool)).toMatchObject({ written: 0, unchanged: 3_200 });
    expect(await contents()).toEqual(before);
  });

  it('an import with --if-empty does nothing if there are movies', async () => {
    expect(await importInto(catalogue, subgraph.pool, { onlyIfEmpty: true })).toBeUndefined();
  });

  it('an import writes only what its source changed and keeps what people edited', async () => {
    const update = await subgraph.ask(
      `mutation { updateMovie(id: "vega:1", version: 1, input: {
         title: "The Land Girls (edited)", genres: ["War"], productionBudget: null }) { movie { version } } }`,
      {},
      asEditor,
    );
    expect(update.data).toEqual({ updateMovie: { movie: { version: 2 } } });
    const row = {
      Title: 'THE LAND GIRLS',
      'Release Date': 'Jun 13 1998',
      'MPAA Rating': 'R',
      'Major Genre': 'Drama',
      Director: 'David Leland',
      'Production Budget': 9_000_000,
      'US Gross': 146_083,
      'Worldwide Gross': 146_084,
      'IMDB Rating': 6.2,
      'IMDB Votes': 1_100,
    };
    expect(await importRows([row])).toMatchObject({ written: 1, unchanged: 0 });
    const merged = {
      title: 'The Land Girls (edited)',
      genres: [{ id: 'war' }],
      productionBudget: null,
      releaseDate: '1998-06-13',
      worldwideGross: { amount: '146084' },
      domesticGross: { amount: '146083' },
      directors: [{ id: 'person:vega:david-leland', name: 'David Leland' }],
      externalRatings: [{ source: 'imdb', average: 6.2, votes: 1_100, scaleTop: 10 }],
      version: 3,
    };
    expect(await movieOf('vega:1')).toMatchObject(merged);

    expect(await importRows([{ ...row, Title: 'Land Girls', 'IMDB Rating': null }])).toMatchObject({
      written: 1,
    });
    expect(await movieOf('vega:1')).toMatchObject({ ...merged, externalRatings: [] });
  });

  it('an import does not restore a deleted movie', async () => {
    await subgraph.ask('mutation { deleteMovie(id: "vega:2") { deletedMovieId } }', {}, asEditor);
    const report = await importRows([{ Title: 'x', 'Release Date': null }, { Title: 'Another title' }]);
    expect(report).toMatchObject({ written: 1, unchanged: 1 });
    expect(await movieOf('vega:2')).toBeNull();
  });

  it('an import of a file that cannot be read fails with one sentence', async () => {
    const failed = importInto(catalogue, subgraph.pool, { args: [join(folder, 'none.json')] });
    await expect(failed).rejects.toThrow(/none\.json cannot be read/);
  });
});

describe('the import of a source with casts and external ids', () => {
  const movie = {
    id: 'imdb:tt0088846',
    title: 'A film that the catalogue does not have',
    facts: {
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
      languages: ['en'],
      directors: [{ id: 'person:imdb:nm0000416', name: 'Terry Gilliam' }],
      cast: [
        { person: { id: 'person:imdb:nm0000596', name: 'Jonathan Pryce' }, character: 'Sam Lowry' },
        { person: { id: 'person:imdb:nm0000134', name: 'Robert De Niro' }, character: null },
      ],
    },
    releaseYear: 1985,
    genres: ['Sci-Fi', 'Drama'],
  };

  it('an import writes casts and external ids, and replaces them as its source does', async () => {
    expect(await importMovies(movie)).toMatchObject({ written: 1 });
    expect(await movieOf(movie.id)).toMatchObject({
      releaseDate: null,
      releaseYear: 1985,
      languages: ['en'],
      genres: [{ id: 'drama' }, { id: 'sci-fi' }],
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
      cast: [
        { position: 1, character: 'Sam Lowry', person: { name: 'Jonathan Pryce' } },
        { position: 2, character: null, person: { name: 'Robert De Niro' } },
      ],
    });
    const later = {
      ...movie,
      genres: ['Drama'],
      facts: {
        ...movie.facts,
        externalIds: [{ source: 'tmdb', value: '68' }],
        cast: movie.facts.cast.slice(1),
      },
    };
    expect(await importMovies(later)).toMatchObject({ written: 1 });
    expect(await movieOf(movie.id)).toMatchObject({
      version: 2,
      genres: [{ id: 'drama' }],
      externalIds: [{ source: 'tmdb', value: '68' }],
      cast: [{ position: 1, person: { name: 'Robert De Niro' } }],
    });
    const before = await contents();
    expect(await importMovies(later)).toMatchObject({ written: 0, unchanged: 1 });
    expect(await contents()).toEqual(before);
    const corrected = {
      ...later,
      facts: {
        ...later.facts,
        cast: later.facts.cast.map(({ person, ...part }) => ({
          ...part,
          person: { ...person, name: 'Robert de Niro' },
        })),
      },
    };
    await importMovies(corrected);
    expect(await movieOf(movie.id)).toMatchObject({ cast: [{ person: { name: 'Robert de Niro' } }] });
  });

  it('an import refuses a taken external id and a repeated id, and writes the rest', async () => {
    const taken = { externalIds: [{ source: 'tmdb', value: '1' }] };
    const report = await importMovies(
      { id: 'elsewhere:1', title: 'One', facts: taken },
      { id: 'elsewhere:2', title: 'Two', facts: taken },
      { id: 'elsewhere:1', title: 'One again' },
    );
    expect(report).toEqual({
      read: 3,
      written: 1,
      unchanged: 0,
      refusedCount: 2,
      notes: ['0 matched with films of other sources, 1 new, 0 ambiguous'],
      refused: [
        { record: 'movie 3', reason: 'the id elsewhere:1 occurs earlier in the source' },
        { record: 'movie 2', reason: 'the external id tmdb 1 belongs to the movie elsewhere:1' },
      ],
    });
    expect(await movieOf('elsewhere:1')).toMatchObject({ title: 'One' });
    expect(await movieOf('elsewhere:2')).toBeNull();
  });

  it('an import fills a movie that people added under its id, and keeps what they wrote', async () => {
    const upsert = await subgraph.ask(
      'mutation { upsertMovie(id: "elsewhere:9", input: { title: "Ours" }) { movie { id } } }',
      {},
      asEditor,
    );
    expect(upsert.errors).toBeUndefined();
    await importMovies({ id: 'elsewhere:9', title: 'Theirs', facts: { runtimeMinutes: 90 } });
    expect(await movieOf('elsewhere:9')).toMatchObject({ title: 'Ours', runtimeMinutes: 90, version: 2 });
  });
});
