import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { MigrationList } from '@prisma/schema-engine-wasm';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { newSchemaEngine } from './schema-engine.js';

/** One `<timestamp>_<name>/migration.sql` of a Prisma migrations folder; the checksum is Prisma's: SHA-256 in hex. */
interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** The same number that Prisma's own command line locks, so that the two never migrate at once. */
const advisoryLock = 72_707_369;

/**
 * Brings the database of `url` to the state of a Prisma migrations folder; answers the names applied now, in order.
 * Prisma's schema engine applies them and keeps the ordinary `_prisma_migrations` table. All that is missing is applied
 * in one transaction behind an advisory lock: replicas that start at once wait for the first, and a migration that
 * fails, or a process that is killed, leaves the database as it was (so a migration may not hold statements that
 * PostgreSQL refuses in a transaction). Throws a {@link StartError} when an applied migration was changed or failed, or
 * when the database is newer than the folder.
 */
export const migrate = async (options: { url: string; migrations: URL | string }): Promise<string[]> => {
  const folder =
    typeof options.migrations === 'string' ? options.migrations : fileURLToPath(options.migrations);
  const wanted = await readMigrations(folder);
  // One connection: what the engine does through the pool belongs to the transaction opened here.
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: 'migrate',
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: 10_000,
  });
  pool.on('error', () => undefined);
  try {
    if (missing(wanted, await readApplied(pool)).length === 0) return [];
    // Before the transaction: one that was open while it waited would not see the table that another replica made.
    await pool.query('SELECT pg_advisory_lock($1)', [advisoryLock]);
    await pool.query('BEGIN');
    const names = missing(wanted, await readApplied(pool)).map(({ name }) => name);
    if (names.length > 0) await applyWithEngine(pool, folder, wanted);
    await pool.query('COMMIT');
    return names;
  } finally {
    // Ends the connection, and with it the lock and a transaction that was not committed.
    await pool.end();
  }
};

const readMigrations = async (folder: string): Promise<Migration[]> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw new StartError(`The migrations folder ${folder} cannot be read.`, { cause: error });
  });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const path = join(folder, name, 'migration.sql');
      const sql = await readFile(path, 'utf8').catch((error: unknown) => {
        throw new StartError(`The migration ${name} cannot be read: ${path} is missing.`, {
          cause: error,
        });
      });
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
};

interface AppliedMigration {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished: boolean;
}

const readApplied = async (pool: pg.Pool): Promise<AppliedMigration[]> => {
  const { rows } = await pool.query<{ known: boolean }>(
    `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS known`,
  );
  if (rows[0]?.known !== true) return [];
  const applied = await pool.query<AppliedMigration>(
    `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished
       FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at`,
  );
  return applied.rows;
};

const missing = (wanted: readonly Migration[], applied: readonly AppliedMigration[]) => {
  const byName = new Map(applied.map((row) => [row.migration_name, row]));
  for (const { migration_name: name, finished } of applied) {
    if (!finished) {
      throw new StartError(
        `The migration ${name} did not finish in this database. Repair what it left behind, mark it with "prisma migrate resolve", then start again.`,
      );
    }
  }
  for (const { name, checksum } of wanted) {
    const row = byName.get(name);
    if (row && row.checksum !== checksum) {
      throw new StartError(
        `The migration ${name} was changed after it was applied to this database. Put it back as it was and write a new migration instead.`,
      );
    }
    byName.delete(name);
  }
  const [unknown] = byName.keys();
  if (unknown !== undefined) {
    throw new StartError(
      `The database is newer than this code: it has the migration ${unknown}, which the code does not know. Start the version that made it, or a later one.`,
    );
  }
  const done = new Set(applied.map((row) => row.migration_name));
  return wanted.filter(({ name }) => !done.has(name));
};

const applyWithEngine = async (pool: pg.Pool, folder: string, wanted: readonly Migration[]) => {
  let running = '';
  let failure: StartError | undefined;
  const prisma = new PrismaPg(pool);
  const connect = prisma.connect.bind(prisma);
  prisma.connect = async () => {
    const adapter = await connect();
    // The adapter cuts a script at each semicolon, also inside a function or a string. PostgreSQL reads it whole.
    adapter.executeScript = async (script) => {
      running = wanted.find(({ sql }) => sql === script)?.name ?? running;
      await pool.query(script).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        failure ??= new StartError(`The migration ${running} failed and was taken back: ${reason}.`, {
          cause: error,
        });
        throw error;
      });
    };
    return adapter;
  };
  const engine = await newSchemaEngine(bindMigrationAwareSqlAdapterFactory(prisma));
  try {
    await engine.applyMigrations({
      migrationsList: await migrationList(folder, wanted),
      filters: { externalTables: [], externalEnums: [] },
    });
  } catch (error) {
    throw failure ?? error;
  }
};

const migrationList = async (folder: string, migrations: readonly Migration[]): Promise<MigrationList> => ({
  baseDir: folder,
  lockfile: {
    path: 'migration_lock.toml',
    content: await readFile(join(folder, 'migration_lock.toml'), 'utf8').catch(() => null),
  },
  shadowDbInitScript: '',
  migrationDirectories: migrations.map(({ name, sql }) => ({
    path: name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
  })),
});
