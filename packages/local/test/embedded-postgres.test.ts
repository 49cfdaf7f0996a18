import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import {
  findEmbeddedPostgres,
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../src/postgres/embedded.js';

/** No test here depends on durability. */
const settings = { fsync: 'off' };

describe('the embedded PostgreSQL', () => {
  let folder: string;
  let directory: string;
  let server: EmbeddedPostgres | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'embedded-'));
    await chmod(folder, 0o711);
    directory = join(folder, 'data of ours');
  });
  afterEach(async () => {
    await server?.stop();
    server = undefined;
    await removeEmbeddedPostgres(directory);
    await rm(folder, { recursive: true, force: true });
  });

  const start = async () => (server = await startEmbeddedPostgres({ directory, settings }));

  it('gives each database a role of its own that is not a superuser and cannot connect to another', async () => {
    const { ensureDatabase } = await start();
    const [metadata, rating] = [await ensureDatabase('metadata'), await ensureDatabase('rating')];
    expect(
      await ask(
        rating,
        `SELECT current_user, current_database(), rolsuper, rolcreatedb, rolcreaterole
           FROM pg_roles WHERE rolname = current_user`,
      ),
    ).toEqual([
      {
        current_user: 'rating',
        current_database: 'rating',
        rolsuper: false,
        rolcreatedb: false,
        rolcreaterole: false,
      },
    ]);
    await ask(rating, 'CREATE EXTENSION pg_trgm; CREATE EXTENSION unaccent; CREATE TABLE vote (id int)');
    const crossed = Object.assign(new URL(rating), { pathname: '/metadata' }).href;
    await expect(ask(crossed, 'SELECT 1')).rejects.toThrow('permission denied for database "metadata"');
    expect(new URL(metadata).password).not.toBe(new URL(rating).password);
  });

  it('listens on the loopback address only and refuses a wrong password', async () => {
    const { superuserUrl } = await start();
    expect(await ask(superuserUrl, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    expect(await ask(superuserUrl, 'SHOW unix_socket_directories')).toEqual([
      { unix_socket_directories: '' },
    ]);
    const wrong = Object.assign(new URL(superuserUrl), { password: 'guessed' }).href;
    await expect(ask(wrong, 'SELECT 1')).rejects.toThrow('password authentication failed');
    expect((await stat(join(directory, 'secrets.json'))).mode & 0o777).toBe(0o600);
  });

  it('keeps its data when it is stopped, and its process is gone', async () => {
    const first = await start();
    await ask(await first.ensureDatabase('rating'), 'CREATE TABLE vote AS SELECT 9 AS score');
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);
    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await ask(await second.ensureDatabase('rating'), 'SELECT score FROM vote')).toEqual([
      { score: 9 },
    ]);
  });

  it('starts below a folder that only its owner may enter', async () => {
    await chmod(folder, 0o700);
    const { superuserUrl } = await start();
    expect(await ask(superuserUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('takes over the server that a killed process left running', async () => {
    const left = await start();
    const found = await findEmbeddedPostgres(directory);
    expect(found?.pid).toBe(left.pid);
    const taken = await startEmbeddedPostgres({ directory, settings });
    expect({ adopted: taken.adopted, pid: taken.pid, port: taken.port }).toEqual({
      adopted: true,
      pid: left.pid,
      port: left.port,
    });
    await taken.stop();
    await left.died;
    expect(isAlive(left.pid)).toBe(false);
    expect(await findEmbeddedPostgres(directory)).toBeUndefined();
  });

  it('resolves died when the server is killed, and recovers what was committed', async () => {
    const first = await start();
    const url = await first.ensureDatabase('rating');
    await ask(url, 'CREATE TABLE vote AS SELECT 9 AS score');
    process.kill(first.pid, 'SIGKILL');
    await first.died;
    const second = await start();
    expect(await ask(await second.ensureDatabase('rating'), 'SELECT score FROM vote')).toEqual([
      { score: 9 },
    ]);
  });

  it('starts although postmaster.pid names a process that is another program by now', async () => {
    const first = await start();
    await first.stop();
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    try {
      const data = first.dataDirectory;
      await writeFile(join(data, 'postmaster.pid'), `${other.pid}\n${data}\n1\n5432\n\n127.0.0.1\n\nready\n`);
      expect((await start()).adopted).toBe(false);
    } finally {
      other.kill('SIGKILL');
    }
  });

  it('starts although a kill has left postmaster.pid empty', async () => {
    const first = await start();
    await first.stop();
    await writeFile(join(first.dataDirectory, 'postmaster.pid'), '');
    expect((await start()).adopted).toBe(false);
  });

  it('rejects a port that is taken, and names it', async () => {
    const other: Server = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port));
    });
    try {
      await expect(startEmbeddedPostgres({ directory, port, settings })).rejects.toThrow(
        `The port ${port} for PostgreSQL is taken by another program.`,
      );
    } finally {
      other.close();
    }
  });

  it('rejects data that is damaged, of another version, or does not fit the passwords', async () => {
    const first = await start();
    const data = first.dataDirectory;
    await first.stop();

    const control = join(data, 'global', 'pg_control');
    const intact = await readFile(control);
    await writeFile(control, Buffer.alloc(intact.length, 7));
    await expect(start()).rejects.toThrow(/^The data folder .* is damaged or cannot be used: .*--reset/);
    await writeFile(control, intact);

    const version = await readFile(join(data, 'PG_VERSION'), 'utf8');
    await writeFile(join(data, 'PG_VERSION'), '11\n');
    await expect(start()).rejects.toThrow(/was written by PostgreSQL 11, this is \d+\./);
    await writeFile(join(data, 'PG_VERSION'), version);

    await rm(join(directory, 'secrets.json'));
    await expect(start()).rejects.toThrow(/does not fit the passwords in secrets\.json/);
    expect(await findEmbeddedPostgres(directory)).toBeUndefined();
  });

  it('starts with empty data after its data was removed, and keeps other files', async () => {
    const first = await start();
    await ask(await first.ensureDatabase('rating'), 'CREATE TABLE vote AS SELECT 9 AS score');
    await mkdir(join(directory, 'downloads'));
    await removeEmbeddedPostgres(directory);
    expect(isAlive(first.pid)).toBe(false);
    const second = await start();
    expect(await ask(await second.ensureDatabase('rating'), `SELECT to_regclass('vote') AS vote`)).toEqual([
      { vote: null },
    ]);
    expect((await stat(join(directory, 'downloads'))).isDirectory()).toBe(true);
  });
});

const ask = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows;
  } finally {
    await client.end();
  }
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
