import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';

/**
 * One `<timestamp>_<name>/migration.sql` of a migrations folder. The checksum is Prisma's: SHA-256 in hex.
 */
interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** Prisma's command line takes the same advisory lock, so the two never migrate at the same time. */
const advisoryLock = 72_707_369;

/**
 * Applies the migrations of a Prisma migrations folder that the database at `url` lacks, and returns their
 * names in order. Each applied migration is recorded as `prisma migrate deploy` records it, in the table
 * `history`; if that name has a schema, the schema is created when it is missing.
 *
 * All migrations are applied in one transaction under an advisory lock. Replicas that start together
 * therefore wait for the first one, and a failed migration or a killed process leaves the database unchanged.
 * For the same reason a migration must not contain statements that PostgreSQL refuses in a transaction.
 *
 * Throws a {@link StartError} if an applied migration was changed or did not finish, if the database has
 * migrations that the folder lacks, or if its schema has tables but no history.
 */
export const migrate = async (options: {
  readonly url: string;
  readonly migrations: URL | string;
  readonly history?: string;
}): Promise<string[]> => {
  const { url, history = '_prisma_migrations' } = options;
  const folder =
    typeof options.migrations === 'string' ? options.migrations : fileURLToPath(options.migrations);
  const migrations = await readMigrations(folder);
  const client = new pg.Client({
    connectionString: url,
    application_name: 'migrate',
    connectionTimeoutMillis: 10_000,
  });
  // A broken connection fails the next statement; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    if (missing(migrations, await readApplied(client, history)).length === 0) return [];
    // The lock comes before BEGIN, so that the transaction sees what the previous holder committed.
    await client.query('SELECT pg_advisory_lock($1)', [advisoryLock]);
    await client.query('BEGIN');
    const pending = missing(migrations, await readApplied(client, history));
    if (pending.length > 0) await createHistory(client, history);
    for (const migration of pending) await apply(client, history, migration);
    await client.query('COMMIT');
    return pending.map(({ name }) => name);
  } finally {
    // Closing the connection also releases the lock and rolls back a transaction that was not committed.
    await client.end();
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

const hasHistory = async (client: pg.Client, history: string): Promise<boolean> => {
  const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
    history,
  ]);
  return rows[0]?.found === true;
};

const readApplied = async (client: pg.Client, history: string): Promise<AppliedMigration[]> => {
  if (!(await hasHistory(client, history))) return [];
  const { rows } = await client.query<AppliedMigration>(
    `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished
       FROM ${history} WHERE rolled_back_at IS NULL ORDER BY started_at`,
  );
  return rows;
};

/**
 * Returns the migrations that are not applied yet. Throws if those that are applied differ from the folder.
 */
const missing = (migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] => {
  const byName = new Map(applied.map((row) => [row.migration_name, row]));
  for (const { migration_name: name, finished } of applied) {
    if (!finished) {
      throw new StartError(
        `The migration ${name} did not finish in this database. Repair its partial changes, mark it with "prisma migrate resolve", then start again.`,
      );
    }
  }
  for (const { name, checksum } of migrations) {
    const row = byName.get(name);
    if (row && row.checksum !== checksum) {
      throw new StartError(
        `The migration ${name} was changed after it was applied to this database. Restore its file and write a new migration instead.`,
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
  return migrations.filter(({ name }) => !done.has(name));
};

/** Creates the history table, with Prisma's statement, unless it exists. */
const createHistory = async (client: pg.Client, history: string): Promise<void> => {
  if (await hasHistory(client, history)) return;
  const [schema, table] = history.split('.');
  if (table !== undefined) await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  await refuseTables(client, table === undefined ? undefined : schema);
  await client.query(`CREATE TABLE ${history} (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
)`);
};

/** Throws if the schema has tables: without a history nobody can say which migrations they stand for. */
const refuseTables = async (client: pg.Client, schema: string | undefined): Promise<void> => {
  const { rows } = await client.query<{ schema: string; table: string }>(
    `SELECT nspname AS schema, relname AS table FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
      WHERE relkind = 'r' AND nspname = coalesce($1, current_schema()) ORDER BY relname LIMIT 1`,
    [schema],
  );
  const [found] = rows;
  if (found === undefined) return;
  throw new StartError(
    `The schema ${found.schema} of the database has tables (${found.table} is one) but no record of its migrations. Start with an empty database, or record the migrations it already has with "prisma migrate resolve --applied".`,
  );
};

/** Runs one migration and records it. Both belong to the caller's transaction. */
const apply = async (client: pg.Client, history: string, migration: Migration): Promise<void> => {
  const { name, sql, checksum } = migration;
  const id = randomUUID();
  await client.query(
    `INSERT INTO ${history} (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())`,
    [id, checksum, name],
  );
  await client.query(sql).catch((error: unknown) => {
    throw new StartError(`The migration ${name} failed and was rolled back: ${reasonOf(error)}.`, {
      cause: error,
    });
  });
  await client.query(
    `UPDATE ${history} SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1`,
    [id],
  );
};
