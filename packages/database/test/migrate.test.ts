import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrate } from '../src/migrate.js';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';

const folders: string[] = [];

const migrationsFolder = async (scripts: Record<string, string>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  folders.push(folder);
  await writeFile(join(folder, 'migration_lock.toml'), 'provider = "postgresql"\n');
  for (const [name, sql] of Object.entries(scripts)) await addMigration(folder, name, sql);
  return folder;
};

const addMigration = async (folder: string, name: string, sql: string) => {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, 'migration.sql'), sql);
};

const movieTable = 'CREATE TABLE movie (id text PRIMARY KEY);\n';

describe('migrate', () => {
  let database: TestDatabase;
  let client: pg.Client;

  beforeEach(async () => {
    const nothing = await migrationsFolder({});
    database = await testDatabase({ name: 'migrate', migrations: pathToFileURL(nothing) });
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
  });
  afterEach(async () => {
    await client.end();
    await database.drop();
  });
  afterAll(async () => {
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });

  it('applies what is missing, in order, and nothing the second time', async () => {
    const migrations = await migrationsFolder({
      '20260102000000_year': 'ALTER TABLE movie ADD COLUMN year int;\n',
      '20260101000000_movie': movieTable,
    });
    expect(await migrate({ url: database.url, migrations })).toEqual([
      '20260101000000_movie',
      '20260102000000_year',
    ]);
    expect(await migrate({ url: database.url, migrations })).toEqual([]);
    await addMigration(migrations, '20260103000000_title', 'ALTER TABLE movie ADD COLUMN title text;\n');
    expect(await migrate({ url: database.url, migrations })).toEqual(['20260103000000_title']);
    expect((await client.query('SELECT id, year, title FROM movie')).rows).toEqual([]);
  });

  it('applies once when replicas start at the same time', async () => {
    const migrations = await migrationsFolder({
      '20260101000000_movie': `${movieTable}INSERT INTO movie VALUES ('once');\n`,
    });
    const applied = await Promise.all(
      Array.from({ length: 5 }, () => migrate({ url: database.url, migrations })),
    );
    expect(applied.flat()).toEqual(['20260101000000_movie']);
    expect((await client.query('SELECT id FROM movie')).rows).toEqual([{ id: 'once' }]);
  });

  it('reads a script as PostgreSQL does, with semicolons inside functions and strings', async () => {
    const migrations = await migrationsFolder({
      '20260101000000_function': `CREATE FUNCTION answer() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN 'a;b';
END;
$$;
`,
    });
    await migrate({ url: database.url, migrations });
    expect((await client.query('SELECT answer()')).rows).toEqual([{ answer: 'a;b' }]);
  });

  it('takes a failing migration back as a whole, so that the corrected one applies', async () => {
    const migrations = await migrationsFolder({
      '20260101000000_movie': `${movieTable}INSERT INTO nowhere VALUES (1);\n`,
    });
    await expect(migrate({ url: database.url, migrations })).rejects.toThrow(
      'The migration 20260101000000_movie failed and was taken back: relation "nowhere" does not exist.',
    );
    expect((await client.query(`SELECT to_regclass('movie') AS movie`)).rows).toEqual([{ movie: null }]);
    await addMigration(migrations, '20260101000000_movie', movieTable);
    expect(await migrate({ url: database.url, migrations })).toEqual(['20260101000000_movie']);
  });

  it('refuses a migration that was changed after it was applied', async () => {
    const migrations = await migrationsFolder({ '20260101000000_movie': movieTable });
    await migrate({ url: database.url, migrations });
    await addMigration(migrations, '20260101000000_movie', `-- changed\n${movieTable}`);
    await expect(migrate({ url: database.url, migrations })).rejects.toThrow(
      'The migration 20260101000000_movie was changed after it was applied to this database.',
    );
  });

  it('refuses a database that is newer than the code', async () => {
    const migrations = await migrationsFolder({ '20260101000000_movie': movieTable });
    await migrate({ url: database.url, migrations });
    const older = await migrationsFolder({});
    await expect(migrate({ url: database.url, migrations: older })).rejects.toThrow(
      'The database is newer than this code: it has the migration 20260101000000_movie',
    );
  });

  it('refuses a database in which a migration did not finish', async () => {
    const migrations = await migrationsFolder({ '20260101000000_movie': movieTable });
    await migrate({ url: database.url, migrations });
    await client.query('UPDATE _prisma_migrations SET finished_at = NULL');
    await expect(migrate({ url: database.url, migrations })).rejects.toThrow(
      'The migration 20260101000000_movie did not finish in this database.',
    );
  });
});
