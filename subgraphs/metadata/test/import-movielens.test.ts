import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@cinegraph/testing/until';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lockImports } from '../src/commands/join-movies.js';
import { startImports, toyStory } from './support/imports.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

describe('the movies of MovieLens', () => {
  it('a MovieLens movie gets its year, article, genres and external ids from the files', async () => {
    await imports.movieLens();
    expect(await imports.importMovieLens()).toMatchObject({ read: 4, written: 4, refusedCount: 0 });
    expect(await imports.movieOf('movielens:1')).toMatchObject({
      title: 'Toy Story',
      releaseYear: 1995,
      genres: [{ id: 'adventure' }, { id: 'animation' }, { id: 'comedy' }],
      externalIds: [
        { source: 'imdb', value: 'tt0114709' },
        { source: 'tmdb', value: '862' },
      ],
    });
    expect(await imports.movieOf('movielens:11')).toMatchObject({
      title: 'The American President',
      externalIds: [{ source: 'imdb', value: 'tt0112346' }],
    });
    expect(await imports.movieOf('movielens:108548')).toMatchObject({
      title: 'The Big Bang Theory',
      releaseYear: 2007,
    });
    expect(await imports.movieOf('movielens:143410')).toMatchObject({
      title: 'Hyena Road',
      releaseYear: null,
      genres: [],
    });
    const before = await imports.contents();
    expect(await imports.importMovieLens()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await imports.contents()).toEqual(before);
  });

  it('a movie keeps the id that another import gives it while this one waits for the lock', async () => {
    await imports.movieLens();
    const other = await imports.subgraph.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query(lockImports);
      await other.query(`
        INSERT INTO movie (id, title, created_at, updated_at) VALUES ('imdb:tt0114709', 'Toy Story', now(), now());
        INSERT INTO external_id VALUES ('imdb', 'tt0114709', 'imdb:tt0114709')`);
      const done = imports.importMovieLens();
      const waiting = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND pg_blocking_pids(pid) @> ARRAY[(SELECT pg_backend_pid())]`;
      await until(async () => (await other.query(waiting)).rowCount === 1, 'the import waits for the lock');
      await other.query('COMMIT');
      expect(await done).toMatchObject({ written: 4, refusedCount: 0 });
    } finally {
      other.release(true);
    }
    expect(await imports.movieOf('movielens:1')).toBeNull();
    expect(await imports.movieOf('imdb:tt0114709')).toMatchObject({ releaseYear: 1995 });
  });

  it('a movie whose IMDb id exists keeps its id, which is handed over to rating', async () => {
    await imports.imdbFolder();
    await imports.importImdb();
    await imports.movieLens();
    expect(await imports.importMovieLens()).toMatchObject({ written: 4 });
    expect(await imports.movieOf('movielens:1')).toBeNull();
    expect(await imports.movieOf('imdb:tt0114709')).toMatchObject({ title: 'Toy Story', runtimeMinutes: 81 });
    expect(await imports.handover()).toEqual(
      expect.arrayContaining([
        { movie: 'movielens:11', version: 1, deleted: false },
        { alias: 'movielens:1', movie: 'imdb:tt0114709' },
      ]),
    );
    const before = await imports.contents();
    expect(await imports.importMovieLens()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await imports.importImdb()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await imports.contents()).toEqual(before);
  });

  it('an invalid MovieLens row is refused with file, line and reason, and the others are written', async () => {
    await imports.movieLensFolder(
      [toyStory, 'x,Nobody (1990),Drama', '3, (1990),Drama', '4,No genre', '5,Fine (1990),Drama'],
      ['1,0114709,862', '5,abc,1'],
    );
    const report = await imports.importMovieLens();
    expect(report).toMatchObject({ written: 2, refusedCount: 4 });
    expect(report?.refused.map(({ record }) => record)).toEqual([
      'links.csv line 3',
      'line 3',
      'line 4',
      'line 5',
    ]);
  });

  it('a title of a megabyte of spaces is refused in linear time', async () => {
    await imports.movieLensFolder([`2,a${' '.repeat(1_000_000)}b,Drama`, '5,Fine (1990),Drama'], ['5,,']);
    expect(await imports.importMovieLens()).toMatchObject({ written: 1, refusedCount: 1 });
  });

  it('a MovieLens folder that lacks a file or a column is refused as a whole', async () => {
    await imports.movieLens();
    await imports.put('links.csv', 'movieId,imdb\n1,0114709\n');
    await expect(imports.importMovieLens()).rejects.toThrow(/links.csv has no columns "imdbId", "tmdbId"/);
    await unlink(join(imports.folder, 'ratings.csv'));
    await expect(imports.importMovieLens()).rejects.toThrow(
      /ratings.csv cannot be read: there is no such file/,
    );
    expect(await imports.contents()).toEqual([[], [], [], [], [], [], []]);
  });
});
