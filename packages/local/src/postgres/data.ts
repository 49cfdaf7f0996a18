import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { giveTo, noSpace, runAs, type Binaries, type DataLocation } from './binaries.js';

/** What PostgreSQL said before it gave up, as one sentence that says what to do. */
export const explainFailure = (said: string, port: number, data: string): StartError => {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  const worst = lines.find((line) => /FATAL|PANIC|could not find/.test(line)) ?? lines.at(-1) ?? '';
  const reason = worst.replace(/^.*?(FATAL|PANIC): +/, '').replace(/^postgres: /, '');
  if (said.includes('Address already in use')) {
    return new StartError(`The port ${port} for PostgreSQL is taken by another program.`);
  }
  if (said.includes('No space left on device')) return noSpace(data);
  return new StartError(
    `The data folder ${data} is damaged or cannot be used: ${reason || 'PostgreSQL ended without a word'}. Begin anew with --reset (its data is lost), or put a copy back.`,
  );
};

/**
 * Sees to it that there is a complete data folder of the binaries' version, whose superuser `postgres` has the password.
 * A new one is made beside its place and then moved there, so that a killed process never leaves half of one.
 */
export const prepareData = async (options: {
  readonly place: DataLocation;
  readonly data: string;
  readonly password: string;
  readonly binaries: Binaries;
  readonly onProgress: (what: string) => void;
}): Promise<void> => {
  const { place, data, password, binaries, onProgress } = options;
  const exists = await stat(data).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  );
  const { bavail, bsize } = await statfs(place.folder);
  if (bavail * bsize < (exists ? 32 : 200) * 1024 * 1024) throw noSpace(place.folder);
  if (exists) {
    const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch((error: unknown) => {
      throw new StartError(
        (error as NodeJS.ErrnoException).code === 'EACCES'
          ? `The data folder ${data} belongs to another user of this machine. Start as that one, or remove it.`
          : `The data folder ${data} is damaged: its PG_VERSION is missing. Begin anew with --reset (its data is lost), or put a copy back.`,
      );
    });
    if (version.trim() !== binaries.major) {
      throw new StartError(
        `The data in ${data} was written by PostgreSQL ${version.trim() || 'of an unknown version'}, this is ${binaries.major}. Move the data over with pg_dump, or begin anew with --reset (its data is lost).`,
      );
    }
    return;
  }
  onProgress('making a database');
  for (const name of await readdir(place.folder)) {
    if (name.startsWith('postgres.new')) {
      await rm(join(place.folder, name), { recursive: true, force: true });
    }
  }
  const next = `${data}.new-${process.pid}`;
  const passwordFile = `${next}.password`;
  await mkdir(next, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  await giveTo(place.account, next);
  await giveTo(place.account, passwordFile);
  try {
    const made = await runAs(place.account, join(binaries.folder, 'bin', 'initdb'), [
      ...['-D', next, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      // Sorts and folds the same on each machine, by code point.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      '--no-instructions',
    ]);
    if (made.code !== 0) {
      if (made.output.includes('No space left on device')) throw noSpace(place.folder);
      const reason = made.output.split('\n').find((line) => /error|fatal/i.test(line));
      throw new StartError(`A database cannot be made in ${place.folder}: ${reason ?? made.output}`);
    }
    await rename(next, data);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(next, { recursive: true, force: true });
  }
};

/** Makes the role and the database of that name where they are missing, gives the role the password and the database. */
export const ensureDatabase = async (superuserUrl: string, name: string, password: string): Promise<void> => {
  const client = new pg.Client({ connectionString: superuserUrl, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const id = client.escapeIdentifier(name);
    const secret = client.escapeLiteral(password);
    const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
    if (role.rowCount === 0) await client.query(`CREATE ROLE ${id}`);
    await client.query(
      `ALTER ROLE ${id} WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD ${secret}`,
    );
    const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (database.rowCount === 0) await client.query(`CREATE DATABASE ${id} OWNER ${id}`);
    await client.query(`REVOKE ALL ON DATABASE ${id} FROM PUBLIC`);
  } finally {
    await client.end();
  }
};
