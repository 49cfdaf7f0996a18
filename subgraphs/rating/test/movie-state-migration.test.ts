import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { migrateAll } from '@cinegraph/database/migrate';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { migrations } from '../src/migrations.js';

const all = fileURLToPath(migrations[0]!.migrations);
let folder: string;
let database: TestDatabase;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  for (const name of await readdir(all)) {
    if (name < '20261128100000') await cp(join(all, name), join(folder, name), { recursive: true });
  }
  database = await testDatabase({
    name: 'rating',
    migrations: [{ migrations: pathToFileURL(`${folder}/`) }, ...migrations.slice(1)],
  });
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

describe('the migration to states of movies', () => {
  it('the migration hides what unknown and deleted movies have, publishes that, and keeps the rest', async () => {
    const pool = testPool(database.url);
    await pool.query(`
      INSERT INTO known_movie (id, version, deleted) VALUES ('rated', 1, false), ('gone', 2, true), ('new', 1, false);
      INSERT INTO aggregated_rating (movie_id, sum, count, s9, version)
      VALUES ('rated', 9, 1, 1, 5), ('gone', 9, 1, 1, 6), ('wrong', 18, 2, 2, 7), ('empty', 0, 0, 0, 8)`);
    expect(await migrateAll(database.url, migrations)).toContain('20261128100000_movie_state');
    const { rows } = await pool.query(
      `SELECT movie_id || ' ' || movie_state || ' ' || count || ' ' || version AS row FROM aggregated_rating ORDER BY 1`,
    );
    expect(rows.map(({ row }: { row: string }) => row)).toEqual([
      'empty unknown 0 9',
      'gone deleted 1 7',
      'new known 0 0',
      'rated known 1 5',
      'wrong unknown 2 8',
    ]);
    const { rows: published } = await pool.query(
      `SELECT payload FROM messaging.outbox_event WHERE type = 'AggregatedRatingChanged' ORDER BY key`,
    );
    const nothing = { sum: 0, count: 0, histogram: Array<number>(10).fill(0) };
    expect(published.map(({ payload }: { payload: unknown }) => payload)).toEqual([
      { movieId: 'gone', version: 7, ...nothing },
      { movieId: 'wrong', version: 8, ...nothing },
    ]);
    await pool.query(`INSERT INTO aggregated_rating (movie_id) VALUES ('first')`);
    const { rows: first } = await pool.query(
      `SELECT movie_state FROM aggregated_rating WHERE movie_id = 'first'`,
    );
    expect(first).toEqual([{ movie_state: 'unknown' }]);
    await pool.end();
  });
});
