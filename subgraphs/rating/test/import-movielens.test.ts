import { importInto } from '@cinegraph/subgraph/import/run-import';
import { describe, expect, it } from '@jest/globals';
import { movieLensRatings } from '../src/import/movielens-ratings.js';
import { mergeChunkSize } from '../src/import/staging.js';
import { contentsOf, put, ratingsIn, useImportWorld } from './import-world.js';

const importWorld = useImportWorld();

const importRatings = async (lines: readonly string[]) => {
  const { world, folder } = importWorld();
  await put(importWorld(), 'ratings.csv', lines.join('\r\n'));
  return importInto(movieLensRatings, world.subgraph.pool, { args: [folder], folder });
};

const header = 'userId,movieId,rating,timestamp';

describe('the ratings of MovieLens', () => {
  it('MovieLens ratings are twice the stars, have their own times, and the latest of a viewer counts', async () => {
    const lines = ['7,1,3.5,851866703', '7,1,2,851866702', '9,1,5,938629179', '9,2,0.5,938629180'];
    expect(await importRatings([header, ...lines])).toMatchObject({ read: 4, written: 3, unchanged: 1 });
    expect(await ratingsIn(importWorld())).toEqual([
      'movielens:1 movielens:7 7',
      'movielens:1 movielens:9 10',
      'movielens:2 movielens:9 1',
    ]);
    const { rows } = await importWorld().world.subgraph.pool.query(
      `SELECT created_at, event_time, origin FROM rating WHERE viewer_id = 'movielens:7'`,
    );
    const givenAt = new Date(851866703_000);
    expect(rows).toEqual([{ created_at: givenAt, event_time: givenAt, origin: 'import' }]);
    const before = await contentsOf(importWorld());
    expect(await importRatings([header, ...lines.toReversed()])).toMatchObject({ written: 0, unchanged: 4 });
    expect(await contentsOf(importWorld())).toBe(before);
  });

  it('MovieLens ratings of an older file do not replace those of a newer one', async () => {
    await importRatings([header, '7,1,5,2000']);
    expect(await importRatings([header, '7,1,1,1000'])).toMatchObject({ written: 0 });
    expect(await importRatings([header, '7,1,2,3000'])).toMatchObject({ written: 1 });
    expect(await ratingsIn(importWorld())).toEqual(['movielens:1 movielens:7 4']);
  });

  it('MovieLens ratings of one movie are merged in several transactions if they exceed a chunk', async () => {
    const lines = [
      '1,1,3,1',
      ...Array.from({ length: 2.5 * mergeChunkSize }, (_, at) => `${at + 1},2,${1 + (at % 5)},${at + 1}`),
      ...['1,3,3,1', '2,3,4,1'],
    ];
    const { pool } = importWorld().world.subgraph;
    await importWorld().world.know('movielens:1', 'movielens:2', 'movielens:3');
    // The run fails in the middle of the movie; the chunks that were merged before are kept.
    await pool.query(`
      CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$;
      CREATE TRIGGER cut BEFORE UPDATE ON import_run FOR EACH ROW
        WHEN (new.merged > ${2 * mergeChunkSize}) EXECUTE FUNCTION cut()`);
    await expect(importRatings([header, ...lines])).rejects.toThrow('cut');
    expect((await importWorld().world.aggregateOf('movielens:2')).count).toBe(mergeChunkSize + 1);
    await pool.query('DROP FUNCTION cut CASCADE');

    const all = lines.length;
    expect(
      await importInto(movieLensRatings, pool, {
        args: [importWorld().folder],
        folder: importWorld().folder,
      }),
    ).toMatchObject({
      ...{ read: all, written: all, unchanged: 0 },
      notes: expect.arrayContaining(['an earlier run had read the source; what it left was finished']),
    });
    const { rows } = await pool.query(
      `SELECT movie_id AS movie, version::int, count::int FROM aggregated_rating ORDER BY 1`,
    );
    expect(rows).toEqual([
      { movie: 'movielens:1', version: 1, count: 1 },
      { movie: 'movielens:2', version: 3, count: 2.5 * mergeChunkSize },
      { movie: 'movielens:3', version: 1, count: 2 },
    ]);
    expect(await importWorld().world.drift()).toEqual([]);
    const before = await contentsOf(importWorld());
    expect(await importRatings([header, ...lines])).toMatchObject({ written: 0, unchanged: all });
    expect(await contentsOf(importWorld())).toBe(before);
  });

  it('MovieLens ratings follow the aliases of metadata, and those of unknown movies are kept and reported', async () => {
    await put(
      importWorld(),
      'handover.jsonl',
      [
        { movie: 'movielens:1', version: 1, deleted: false },
        { movie: 'imdb:tt0113497', version: 3, deleted: false },
        { alias: 'movielens:2', movie: 'imdb:tt0113497' },
      ]
        .map((entry) => JSON.stringify(entry))
        .join('\n'),
    );
    const report = await importRatings([header, '7,1,3,1', '7,2,3,1', '7,3,3,1', '8,3,4,1']);
    expect(report).toMatchObject({
      ...{ read: 4, written: 4, refusedCount: 0 },
      notes: ['2 ratings of 1 movies that are not known are kept, and show once their movie comes'],
    });
    expect(await ratingsIn(importWorld())).toEqual([
      'imdb:tt0113497 movielens:7 6',
      'movielens:1 movielens:7 6',
      'movielens:3 movielens:7 6',
      'movielens:3 movielens:8 8',
    ]);
    const { rows } = await importWorld().world.subgraph.pool.query('SELECT id FROM known_movie ORDER BY id');
    expect(rows).toEqual([{ id: 'imdb:tt0113497' }, { id: 'movielens:1' }]);
  });

  it('MovieLens ratings that are malformed are refused with line and reason', async () => {
    const report = await importRatings([
      header,
      ...['x,1,3,1', '1,x,3,1', '1,1,x,1', '1,1,5.5,1', '1,1,3.2,1', '1,1,3,x', '1,1,3', '1,"1,3,1'],
      '1,1,3,1',
    ]);
    expect(report).toMatchObject({ read: 9, written: 1, refusedCount: 8 });
    expect(report?.refused.map(({ record, reason }) => `${record}: ${reason}`)).toEqual([
      'line 2: userId is not a number',
      'line 3: movieId is not a number',
      'line 4: the value is not a number',
      'line 5: RATING_OUT_OF_RANGE: 5.5 is not a half or whole number from 0.5 to 5',
      'line 6: RATING_OUT_OF_RANGE: 3.2 is not a half or whole number from 0.5 to 5',
      'line 7: timestamp is not a number of seconds',
      'line 8: it has 3 columns instead of 4',
      'line 9: its quotes are not in pairs',
    ]);
  });
});
