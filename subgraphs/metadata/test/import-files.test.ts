import { mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { moviePage, externalIdPage } from '../src/import/handover.js';
import { createImdb } from '../src/import/imdb-titles.js';
import { handoverOnly } from '../src/import/handover-only.js';
import { createMovieLens } from '../src/import/movielens-movies.js';
import { lockImports } from '../src/import/write-sql.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
let folder: string;
beforeEach(async () => {
  subgraph = await startTestSubgraph(metadata);
  folder = await mkdtemp(join(tmpdir(), 'sources-'));
});
afterEach(async () => {
  await subgraph.stop();
  await rm(folder, { recursive: true });
});

const put = (name: string, content: string | Buffer) => writeFile(join(folder, name), content);

const movieLensFolder = async (movies: readonly string[], links: readonly string[]) => {
  await put('movies.csv', ['movieId,title,genres', ...movies].join('\r\n'));
  await put('links.csv', ['movieId,imdbId,tmdbId', ...links].join('\r\n'));
  await put('ratings.csv', 'userId,movieId,rating,timestamp\r\n');
};

const importMovieLens = () => importInto(createMovieLens(), subgraph.pool, { args: [folder], folder });

const toyStory = '1,Toy Story (1995),Adventure|Animation|Comedy';
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

const tsv = (columns: string, ...rows: string[]) => gzipSync([columns, ...rows, ''].join('\n'));

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

/** Every row of every table, and where it lies. */
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
      (await subgraph.pool.query(`SELECT t.ctid::text || t::text AS t FROM ${table} t ORDER BY t.ctid`)).rows,
    );
  }
  return all;
};

const handover = async () =>
  (await readFile(join(folder, 'handover.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

describe('the movies of MovieLens', () => {
  it('have their year and article put right, genres and the ids of others', async () => {
    await movieLens();
    expect(await importMovieLens()).toMatchObject({ read: 4, written: 4, refusedCount: 0 });
    expect(await movieOf('movielens:1')).toMatchObject({
      title: 'Toy Story',
      releaseYear: 1995,
      genres: [{ id: 'adventure' }, { id: 'animation' }, { id: 'comedy' }],
      externalIds: [
        { source: 'imdb', value: 'tt0114709' },
        { source: 'tmdb', value: '862' },
      ],
    });
    expect(await movieOf('movielens:11')).toMatchObject({
      title: 'The American President',
      externalIds: [{ source: 'imdb', value: 'tt0112346' }],
    });
    expect(await movieOf('movielens:108548')).toMatchObject({
      title: 'The Big Bang Theory',
      releaseYear: 2007,
    });
    expect(await movieOf('movielens:143410')).toMatchObject({
      title: 'Hyena Road',
      releaseYear: null,
      genres: [],
    });
    const before = await contents();
    expect(await importMovieLens()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await contents()).toEqual(before);
  });

  it('keep the id that another import gives a movie while this one waits for its turn', async () => {
    await movieLens();
    const other = await subgraph.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query(lockImports);
      await other.query(`
        INSERT INTO movie (id, title, created_at, updated_at) VALUES ('imdb:tt0114709', 'Toy Story', now(), now());
        INSERT INTO external_id VALUES ('imdb', 'tt0114709', 'imdb:tt0114709')`);
      const done = importMovieLens();
      const waiting = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND pg_blocking_pids(pid) @> ARRAY[(SELECT pg_backend_pid())]`;
      let waits = false;
      for (let at = 0; at < 100 && !waits; at += 1) {
        waits = (await other.query(waiting)).rowCount === 1;
        await delay(20);
      }
      expect(waits).toBe(true);
      await other.query('COMMIT');
      expect(await done).toMatchObject({ written: 4, refusedCount: 0 });
    } finally {
      other.release(true);
    }
    expect(await movieOf('movielens:1')).toBeNull();
    expect(await movieOf('imdb:tt0114709')).toMatchObject({ releaseYear: 1995 });
  });

  it('keep the id under which IMDb’s id is known here, and rating is told', async () => {
    await imdbFolder();
    await importImdb();
    await movieLens();
    expect(await importMovieLens()).toMatchObject({ written: 4 });
    expect(await movieOf('movielens:1')).toBeNull();
    expect(await movieOf('imdb:tt0114709')).toMatchObject({ title: 'Toy Story', runtimeMinutes: 81 });
    expect(await handover()).toEqual(
      expect.arrayContaining([
        { movie: 'movielens:11', version: 1, deleted: false },
        { alias: 'movielens:1', movie: 'imdb:tt0114709' },
      ]),
    );
    const before = await contents();
    expect(await importMovieLens()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await importImdb()).toMatchObject({ written: 0, unchanged: 3 });
    expect(await contents()).toEqual(before);
  });

  it('are refused where they cannot be, with file, line and reason, and the others are taken', async () => {
    await movieLensFolder(
      [toyStory, 'x,Nobody (1990),Drama', '3, (1990),Drama', '4,No genre', '5,Fine (1990),Drama'],
      ['1,0114709,862', '5,abc,1'],
    );
    const report = await importMovieLens();
    expect(report).toMatchObject({ written: 2, refusedCount: 4 });
    expect(report?.refused.map(({ record }) => record)).toEqual([
      'links.csv line 3',
      'line 3',
      'line 4',
      'line 5',
    ]);
  });

  it('may have a title of a megabyte of spaces, which is refused as fast as it is read', async () => {
    await movieLensFolder([`2,a${' '.repeat(1_000_000)}b,Drama`, '5,Fine (1990),Drama'], ['5,,']);
    expect(await importMovieLens()).toMatchObject({ written: 1, refusedCount: 1 });
  });

  it('are refused as a whole when a file of the folder is missing or lacks a column', async () => {
    await movieLens();
    await put('links.csv', 'movieId,imdb\n1,0114709\n');
    await expect(importMovieLens()).rejects.toThrow(/links.csv has no column "imdbId"/);
    await unlink(join(folder, 'ratings.csv'));
    await expect(importMovieLens()).rejects.toThrow(/ratings.csv cannot be read: there is no such file/);
    expect(await contents()).toEqual([[], [], [], [], [], [], []]);
  });
});

describe('the datasets of IMDb', () => {
  it('bring movies only, with directors, and their rating as an external one', async () => {
    await imdbFolder();
    const report = await importImdb();
    expect(report).toMatchObject({ written: 3, refusedCount: 4 });
    expect(report?.refused.map(({ record }) => record)).toEqual([
      'title.basics.tsv.gz line 8',
      'title.ratings.tsv.gz line 4',
      'title.basics.tsv.gz line 7',
      'title.basics.tsv.gz line 6',
    ]);
    expect(await movieOf('imdb:tt0088846')).toMatchObject({
      title: '"Brazil"',
      runtimeMinutes: 132,
      directors: [{ id: 'person:imdb:nm0000416', name: 'Terry Gilliam' }],
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
      externalRatings: [{ source: 'imdb', average: 7.8, votes: 214_000, scaleTop: 10 }],
    });
    expect(await movieOf('imdb:tt0114709')).toMatchObject({
      directors: [{ name: 'John Lasseter' }, { name: 'Terry Gilliam' }],
      externalRatings: [],
    });
    expect(await movieOf('imdb:tt9999999')).toMatchObject({ releaseYear: null, genres: [], directors: [] });
    expect(await movieOf('imdb:tt0000001')).toBeNull();
    const before = await contents();
    expect(await importImdb()).toMatchObject({ written: 0, unchanged: 3 });
    expect(await contents()).toEqual(before);
  });

  it('may hold what cannot be stored, which costs its line, and people without a name, who are left out', async () => {
    await imdbFolder();
    await put(
      'title.basics.tsv.gz',
      tsv(
        'tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres',
        'tt0088846\tmovie\tBrazil\t1985\t132\tDrama',
        'tt0088847\tmovie\tBre\u0000akfast\t1985\t97\tDrama',
      ),
    );
    await put(
      'title.crew.tsv.gz',
      tsv('tconst\tdirectors\twriters', 'tt0088846\tnm0000416,nm0000417,nm0000418\t\\N'),
    );
    await put(
      'name.basics.tsv.gz',
      tsv('nconst\tprimaryName', 'nm0000416\tTerry Gilliam', 'nm0000417\t\\N', 'nm0000418\t'),
    );
    const report = await importImdb();
    expect(report).toMatchObject({ written: 1, refusedCount: 1 });
    expect(report?.refused[0]).toEqual({
      record: 'title.basics.tsv.gz line 3',
      reason: 'it holds a character that cannot be stored',
    });
    expect(await movieOf('imdb:tt0088846')).toMatchObject({ directors: [{ name: 'Terry Gilliam' }] });
  });

  it('fill the movie of another source that has the same IMDb id', async () => {
    await movieLens();
    await importMovieLens();
    await imdbFolder();
    await importImdb();
    expect(await movieOf('imdb:tt0114709')).toBeNull();
    expect(await movieOf('movielens:1')).toMatchObject({
      title: 'Toy Story',
      runtimeMinutes: 81,
      directors: [{ name: 'John Lasseter' }, { name: 'Terry Gilliam' }],
    });
  });

  it('are refused as a whole when one is missing or was cut', async () => {
    await imdbFolder();
    await unlink(join(folder, 'title.crew.tsv.gz'));
    await expect(importImdb()).rejects.toThrow(/title.crew.tsv.gz cannot be read: there is no such file/);
    await put('title.crew.tsv.gz', tsv('tconst\tdirectors\twriters').subarray(0, 25));
    await expect(importImdb()).rejects.toThrow(/title.crew.tsv.gz is damaged or cut off/);
    expect(await contents()).toEqual([[], [], [], [], [], [], []]);
  });
});

describe('what metadata hands over to rating', () => {
  it('is read in the order of a key, so that no page reads a table whole', async () => {
    await movieLens();
    await importMovieLens();
    for (const [statement, after] of [
      [moviePage, ['']],
      [externalIdPage, ['', '']],
    ] as const) {
      const client = await subgraph.pool.connect();
      try {
        // Of so few rows the planner would read any table whole; a sort would show that no index has the
        // order.
        await client.query('SET enable_seqscan = off');
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement}`, [10, ...after]);
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        expect(plan).toMatch(/Index Scan using (movie|external_id)_pkey/);
        expect(plan).not.toMatch(/Sort|Filter/);
      } finally {
        client.release(true);
      }
    }
  });

  it('is every movie with its version, deleted or not, and its other names', async () => {
    await imdbFolder();
    await importImdb();
    await subgraph.ask('mutation { deleteMovie(id: "imdb:tt9999999") }', {}, { viewer: 'ana' });
    await movieLensFolder([toyStory, '77,Nine (2009),Drama'], ['77,0875034,']);
    await importMovieLens();
    await importInto(handoverOnly, subgraph.pool, { folder });
    expect(await handover()).toEqual([
      { movie: 'imdb:tt0088846', version: 1, deleted: false },
      { movie: 'imdb:tt0114709', version: 1, deleted: false },
      { movie: 'imdb:tt9999999', version: 2, deleted: true },
      { movie: 'movielens:1', version: 1, deleted: false },
      { movie: 'movielens:77', version: 1, deleted: false },
      { alias: 'imdb:tt0875034', movie: 'movielens:77' },
    ]);
  });
});
