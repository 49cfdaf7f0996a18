import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';
import { migrate } from '@cinegraph/database/migrate';

/** A migrated, empty database for one test file. Its role owns it and is not a superuser. */
export interface TestDatabase {
  readonly url: string;
  /** Ends all sessions of the database and drops it. */
  drop(): Promise<void>;
}

/** The advisory lock under which one worker of a run creates a template. The number is arbitrary. */
const templateLock = 5_031_007;

/**
 * Creates a database on the server of the run: a copy (about 30 ms) of a template, which the first caller
 * creates and migrates. `name` is that of the subgraph. Works only under jest with our global set-up.
 */
export const testDatabase = async (options: { name: string; migrations: URL }): Promise<TestDatabase> => {
  const { name, migrations } = options;
  const { TEST_SUPERUSER_URL: superuserUrl, TEST_RUN: run } = readEnv(
    { TEST_SUPERUSER_URL: z.string(), TEST_RUN: z.string() },
    process.env,
  );
  const prefix = prefixOf(run);
  const role = `${prefix}${name}`;
  const template = `${prefix}${name}_${await hashOf(migrations)}`;
  // Every worker derives the same password.
  const password = createHash('sha256').update(`${superuserUrl}\n${role}`).digest('hex');
  const urlOf = (database: string) => {
    const url = new URL(superuserUrl);
    return Object.assign(url, { username: role, password, pathname: `/${database}` }).href;
  };
  const database = `${prefix}${name}_${randomBytes(6).toString('hex')}`;
  await withClient(superuserUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [templateLock]);
    const known = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (known.rowCount === 0) {
      const roles = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
      if (roles.rowCount === 0) {
        await client.query(`CREATE ROLE "${role}" LOGIN PASSWORD '${password}'`);
      }
      const unfinished = `${template}_new`;
      await client.query(`DROP DATABASE IF EXISTS "${unfinished}" WITH (FORCE)`);
      await client.query(`CREATE DATABASE "${unfinished}" OWNER "${role}"`);
      await migrate({ url: urlOf(unfinished), migrations });
      await client.query(`ALTER DATABASE "${unfinished}" RENAME TO "${template}"`);
    }
    await client.query('SELECT pg_advisory_unlock($1)', [templateLock]);
    await client.query(`CREATE DATABASE "${database}" TEMPLATE "${template}" OWNER "${role}"`);
  });
  return {
    url: urlOf(database),
    drop: () =>
      withClient(superuserUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
      }),
  };
};

/** Opens a pool for a test's own queries. It survives a restart of the server. */
export const testPool = (url: string): pg.Pool => {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => undefined);
  return pool;
};

/** Drops all databases and roles that the tests of a run created on the server. */
export const dropTestDatabases = (superuserUrl: string, run: string): Promise<void> =>
  withClient(superuserUrl, async (client) => {
    const databases = await client.query<{ name: string }>(
      'SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)',
      [prefixOf(run)],
    );
    for (const { name } of databases.rows) {
      await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
    }
    const roles = await client.query<{ name: string }>(
      'SELECT rolname AS name FROM pg_roles WHERE starts_with(rolname, $1)',
      [prefixOf(run)],
    );
    for (const { name } of roles.rows) await client.query(`DROP ROLE IF EXISTS "${name}"`);
  });

const prefixOf = (run: string) => `test_${run}_`;

const hashOf = async (migrations: URL): Promise<string> => {
  const folder = fileURLToPath(migrations);
  const hash = createHash('sha256');
  const names = await readdir(folder, { recursive: true });
  for (const name of names.filter((path) => path.endsWith('.sql')).sort()) {
    hash.update(`${name}\n`).update(await readFile(`${folder}/${name}`));
  }
  return hash.digest('hex').slice(0, 12);
};

const withClient = async <Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};
