import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrate } from '../src/migrate.js';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { diagnoseWithPrisma, migrateWithPrisma } from './prisma-schema-engine.js';

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

  it('applies the missing migrations in order, and none the second time', async () => {
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

  it('applies a migration once when five replicas start at the same time', async () => {
    const migrations = await migrationsFolder({
      '20260101000000_movie': `${movieTable}INSERT INTO movie VALUES ('once');\n`,
    });
    const applied = await Promise.all(
      Array.from({ length: 5 }, () => migrate({ url: database.url, migrations })),
    );
    expect(applied.flat()).toEqual(['20260101000000_movie']);
    expect((await client.query('SELECT id FROM movie')).rows).toEqual([{ id: 'once' }]);
  });

  it('hands a migration to PostgreSQL whole, with semicolons inside functions and strings', async () => {
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

  it('rolls a failing migration back as a whole, so that the corrected one applies', async () => {
    const migrations = await migrationsFolder({
      '20260101000000_movie': `${movieTable}INSERT INTO nowhere VALUES (1);\n`,
    });
    await expect(migrate({ url: database.url, migrations })).rejects.toThrow(
      'The migration 20260101000000_movie failed and was rolled back: relation "nowhere" does not exist.',
    );
    const tables = await client.query(
      `SELECT to_regclass('movie') AS movie, to_regclass('_prisma_migrations') AS history`,
    );
    expect(tables.rows).toEqual([{ movie: null, history: null }]);
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

  it('refuses a schema that has tables but no history of migrations', async () => {
    const migrations = await migrationsFolder({ '20260101000000_movie': movieTable });
    await client.query('CREATE TABLE person (id text)');
    await expect(migrate({ url: database.url, migrations })).rejects.toThrow(
      'The schema public of the database has tables (person is one) but no record of its migrations.',
    );
    await expect(migrateWithPrisma(database.url, migrations)).rejects.toThrow(
      'The database schema is not empty.',
    );
  });

  it('records migrations in another table, whose schema it creates, beside those of the default', async () => {
    const movies = await migrationsFolder({ '20260101000000_movie': movieTable });
    const events = await migrationsFolder({
      '20260101000000_event': 'CREATE TABLE messaging.event (id text PRIMARY KEY);\n',
    });
    const options = { url: database.url, migrations: events, history: 'messaging.migration' };
    expect(await migrate(options)).toEqual(['20260101000000_event']);
    expect(await migrate({ url: database.url, migrations: movies })).toEqual(['20260101000000_movie']);
    expect(await migrate(options)).toEqual([]);
    const names = await client.query(
      `SELECT migration_name FROM _prisma_migrations UNION ALL SELECT migration_name FROM messaging.migration`,
    );
    expect(names.rows).toEqual([
      { migration_name: '20260101000000_movie' },
      { migration_name: '20260101000000_event' },
    ]);
  });

  describe('beside "prisma migrate"', () => {
    const scripts = {
      '20260101000000_movie': movieTable,
      '20260102000000_columns': 'ALTER TABLE movie ADD a int;\nALTER TABLE movie ADD b int;\n',
    };

    it('records a migration as Prisma does, in the table that Prisma creates', async () => {
      const migrations = await migrationsFolder(scripts);
      const other = await testDatabase({
        name: 'migrate',
        migrations: pathToFileURL(await migrationsFolder({})),
      });
      const otherClient = new pg.Client({ connectionString: other.url });
      await otherClient.connect();
      try {
        await migrate({ url: database.url, migrations });
        await migrateWithPrisma(other.url, migrations);
        expect(await historyOf(client)).toEqual(await historyOf(otherClient));
      } finally {
        await otherClient.end();
        await other.drop();
      }
    });

    it('leaves a database in which Prisma finds nothing to apply and nothing wrong', async () => {
      const migrations = await migrationsFolder(scripts);
      await migrate({ url: database.url, migrations });
      expect(await diagnoseWithPrisma(database.url, migrations)).toEqual(inSync);
      expect(await migrateWithPrisma(database.url, migrations)).toEqual([]);
    });

    it('finds nothing to apply in a database that Prisma migrated', async () => {
      const migrations = await migrationsFolder(scripts);
      await migrateWithPrisma(database.url, migrations);
      expect(await migrate({ url: database.url, migrations })).toEqual([]);
    });

    it('continues where Prisma stopped, and Prisma continues where it stopped', async () => {
      const migrations = await migrationsFolder({ '20260101000000_movie': movieTable });
      await migrateWithPrisma(database.url, migrations);
      await addMigration(migrations, '20260102000000_a', 'ALTER TABLE movie ADD a int;\n');
      expect(await migrate({ url: database.url, migrations })).toEqual(['20260102000000_a']);
      await addMigration(migrations, '20260103000000_b', 'ALTER TABLE movie ADD b int;\n');
      expect(await migrateWithPrisma(database.url, migrations)).toEqual(['20260103000000_b']);
      expect(await diagnoseWithPrisma(database.url, migrations)).toEqual(inSync);
    });
  });
});

/** Prisma's diagnosis of a database that agrees with its migrations folder. */
const inSync = {
  editedMigrationNames: [],
  failedMigrationNames: [],
  hasMigrationsTable: true,
  history: null,
};

/** The definition of the history table, and its rows without the values that differ from run to run. */
const historyOf = async (client: pg.Client) => {
  const columns = await client.query(
    `SELECT column_name, data_type, character_maximum_length, is_nullable, column_default
       FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position`,
  );
  const indexes = await client.query(
    `SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '_prisma_migrations'`,
  );
  const rows = await client.query(
    `SELECT id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' AS has_uuid,
            checksum, migration_name, logs, rolled_back_at, applied_steps_count,
            finished_at >= started_at AND started_at > now() - interval '1 minute' AS has_times
       FROM _prisma_migrations ORDER BY started_at`,
  );
  return { columns: columns.rows, indexes: indexes.rows, rows: rows.rows };
};
