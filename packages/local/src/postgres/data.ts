import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { giveTo, noSpace, runAs, type Binaries, type Installation } from './binaries.js';

/** Returns an error that explains the output of a PostgreSQL that did not start, and says what to do. */
export const explainFailure = (output: string, port: number, dataDirectory: string): StartError => {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const worst = lines.find((line) => /FATAL|PANIC|could not find/.test(line)) ?? lines.at(-1) ?? '';
  const reason = worst.replace(/^.*?(FATAL|PANIC): +/, '').replace(/^postgres: /, '');
  if (output.includes('Address already in use')) {
    return new StartError(`The port ${port} for PostgreSQL is taken by another program.`);
  }
  if (output.includes('No space left on device')) return noSpace(dataDirectory);
  return new StartError(
    `The data folder ${dataDirectory} is damaged or cannot be used: ${reason || 'PostgreSQL exited without a message'}. Restore a copy, or start again with --reset (its data is lost).`,
  );
};

/**
 * Ensures that there is a complete data directory of the binaries' version, whose superuser `postgres` has
 * the password. A new one is initialized in a temporary folder and then renamed, so that a killed process
 * never leaves half of one.
 */
export const prepareData = async (options: {
  readonly installation: Installation;
  readonly dataDirectory: string;
  readonly password: string;
  readonly binaries: Binaries;
  readonly onProgress: (what: string) => void;
}): Promise<void> => {
  const { installation, dataDirectory, password, binaries, onProgress } = options;
  const exists = await stat(dataDirectory).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  );
  const { bavail, bsize } = await statfs(installation.folder);
  if (bavail * bsize < (exists ? 32 : 200) * 1024 * 1024) throw noSpace(installation.folder);
  if (exists) {
    const version = await readFile(join(dataDirectory, 'PG_VERSION'), 'utf8').catch((error: unknown) => {
      throw new StartError(
        (error as NodeJS.ErrnoException).code === 'EACCES'
          ? `The data folder ${dataDirectory} belongs to another account of this machine. Start as that account, or remove the folder.`
          : `The data folder ${dataDirectory} is damaged: its PG_VERSION is missing. Restore a copy, or start again with --reset (its data is lost).`,
      );
    });
    if (version.trim() !== binaries.major) {
      throw new StartError(
        `The data in ${dataDirectory} was written by PostgreSQL ${version.trim() || 'of an unknown version'}, this is ${binaries.major}. Move the data with pg_dump, or start again with --reset (its data is lost).`,
      );
    }
    return;
  }
  onProgress('creating a database');
  for (const name of await readdir(installation.folder)) {
    if (name.startsWith('postgres.new')) {
      await rm(join(installation.folder, name), { recursive: true, force: true });
    }
  }
  const next = `${dataDirectory}.new-${process.pid}`;
  const passwordFile = `${next}.password`;
  await mkdir(next, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  await giveTo(installation.account, next);
  await giveTo(installation.account, passwordFile);
  try {
    const initdb = await runAs(installation.account, join(binaries.folder, 'bin', 'initdb'), [
      ...['-D', next, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      // Text is then sorted and case-folded by code point, alike on every machine.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      '--no-instructions',
    ]);
    if (initdb.code !== 0) {
      if (initdb.output.includes('No space left on device')) throw noSpace(installation.folder);
      const reason = initdb.output.split('\n').find((line) => /error|fatal/i.test(line));
      throw new StartError(
        `A database cannot be created in ${installation.folder}: ${reason ?? initdb.output}`,
      );
    }
    await rename(next, dataDirectory);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(next, { recursive: true, force: true });
  }
};

/**
 * Creates the role and the database of that name if they are missing. The role gets the password and owns the
 * database.
 */
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
