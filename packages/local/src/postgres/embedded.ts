import { existsSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { findBinaries, findPlace, placeElsewhere, spawnOptions, type DataLocation } from './binaries.js';
import { ensureDatabase, explainFailure, prepareData } from './data.js';
import { goneWithoutUs, isServerOf, readPostmaster, stopServer } from './postmaster.js';
import { openSecrets, type Secrets } from '../secrets.js';

/** A running PostgreSQL of our own, on the loopback address. */
export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  readonly superuserUrl: string;
  /** Where its data is: below the directory, or elsewhere where its account may not enter that. */
  readonly dataFolder: string;
  /** What PostgreSQL calls the data: another number after it was made anew. */
  readonly identity: string;
  /** True when a server that an earlier process left behind was taken over. */
  readonly adopted: boolean;
  /** Makes the database where it is missing; answers its URL for a role that owns it and nothing else. */
  ensureDatabase(name: string): Promise<string>;
  /** Resolves when the server ends without having been asked to. */
  readonly died: Promise<void>;
  /** Ends the server (fast shutdown: open transactions are rolled back) and waits until it is gone. */
  stop(): Promise<void>;
}

const defaultSettings: Readonly<Record<string, string | number>> = {
  max_connections: 200,
  shared_buffers: '128MB',
  effective_cache_size: '1GB',
  checkpoint_timeout: '15min',
  max_wal_size: '2GB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};
const logLimitBytes = 5_000_000;
const startTimeoutMs = 120_000;

/**
 * Starts a real PostgreSQL on the data below `directory`, made there at first use; a server that a killed process left
 * behind is taken over. It listens on 127.0.0.1 only (`port`, or a free one), wants a password (SCRAM), and runs in a
 * session of its own, so that a terminal's Ctrl-C does not reach it: who starts it stops it, last. The caller sees to it
 * that one process at a time starts a server for a directory. Throws a {@link StartError} that says in one sentence
 * what is wrong: no disk space, port taken, damaged or foreign data, a platform without binaries.
 */
export const startEmbeddedPostgres = async (options: {
  directory: string;
  port?: number;
  settings?: Readonly<Record<string, string | number>>;
  onProgress?: (what: string) => void;
}): Promise<EmbeddedPostgres> => {
  const { settings = {}, onProgress = () => undefined, port } = options;
  const installation = await openInstallation(options.directory);
  const { directory, place, data, urlOf } = installation;
  const found = await findServer(data, urlOf);
  if (found) return present(installation, found, true);
  const password = await installation.secrets.get('postgres');
  const server = await launch({ directory, place, data, password, settings, onProgress, port });
  const identity = await identify(urlOf(server.port), directory).catch(async (error: unknown) => {
    await stopServer(data, server.pid);
    throw error;
  });
  return present(installation, { ...server, identity }, false);
};

/** The server that runs on the data below `directory` already, if one does; it is not started. */
export const findEmbeddedPostgres = async (directory: string): Promise<EmbeddedPostgres | undefined> => {
  // Opening makes the password where there is none; a mere look leaves no trace.
  if (!existsSync(join(directory, 'secrets.json'))) return undefined;
  const installation = await openInstallation(directory);
  const found = await findServer(installation.data, installation.urlOf);
  return found && present(installation, found, true);
};

interface Installation {
  readonly directory: string;
  readonly place: DataLocation;
  readonly data: string;
  readonly secrets: Secrets;
  readonly urlOf: (port: number) => string;
}

const openInstallation = async (given: string): Promise<Installation> => {
  const directory = resolve(given);
  const place = await findPlace(directory);
  const secrets = openSecrets(join(directory, 'secrets.json'));
  const password = await secrets.get('postgres');
  return {
    directory,
    place,
    data: join(place.folder, 'postgres'),
    secrets,
    urlOf: (port) => urlOf(port, 'postgres', password, 'postgres'),
  };
};

const urlOf = (port: number, role: string, password: string, database: string) =>
  `postgresql://${encodeURIComponent(role)}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

const present = (
  installation: Installation,
  server: IdentifiedServer,
  adopted: boolean,
): EmbeddedPostgres => {
  const { data, secrets } = installation;
  const superuserUrl = installation.urlOf(server.port);
  let stopping: Promise<void> | undefined;
  const { child } = server;
  const gone = child
    ? new Promise<void>((resolve) => child.once('exit', () => resolve()))
    : goneWithoutUs(server.pid);
  const stop = async () => {
    // From here on its end is waited for, which must keep this process alive.
    child?.ref();
    await stopServer(data, server.pid);
    if (child) await gone;
  };
  return {
    port: server.port,
    pid: server.pid,
    superuserUrl,
    dataFolder: data,
    identity: server.identity,
    adopted,
    ensureDatabase: async (name) => {
      const password = await secrets.get(`database:${name}`);
      await ensureDatabase(superuserUrl, name, password);
      return urlOf(server.port, name, password, name);
    },
    died: new Promise((resolve) => void gone.then(() => stopping ?? resolve())),
    stop: () => (stopping ??= stop()),
  };
};

/** Ends the server of `directory`, if one runs, and removes all that was kept for it, passwords included; other files stay. */
export const removeEmbeddedPostgres = async (directory: string): Promise<void> => {
  const there = await stat(directory).catch(() => undefined);
  if (!there) return;
  const elsewhere = await placeElsewhere(directory);
  for (const folder of [join(resolve(directory), 'postgres'), join(elsewhere, 'postgres')]) {
    const postmaster = await readPostmaster(folder);
    if (postmaster && (await isServerOf(postmaster.pid, folder))) {
      await stopServer(folder, postmaster.pid);
    }
    await rm(folder, { recursive: true, force: true });
  }
  await rm(elsewhere, { recursive: true, force: true });
  for (const name of await readdir(directory)) {
    if (/^(postgres\.|native-)|^secrets\.json/.test(name)) {
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }
};

interface Server {
  readonly port: number;
  readonly pid: number;
  readonly child?: ChildProcess;
}

interface IdentifiedServer extends Server {
  readonly identity: string;
}

/** The server that still runs on the data, once it answers; one that is just ending is waited for. */
const findServer = async (
  data: string,
  urlOf: (port: number) => string,
): Promise<IdentifiedServer | undefined> => {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    const postmaster = await readPostmaster(data);
    if (!postmaster || !(await isServerOf(postmaster.pid, data))) {
      // Half written, or its number is another program's by now: PostgreSQL would refuse to start.
      await rm(join(data, 'postmaster.pid'), { force: true });
      return undefined;
    }
    if (postmaster.ready) {
      const identity = await identify(urlOf(postmaster.port), data);
      return { port: postmaster.port, pid: postmaster.pid, identity };
    }
    await delay(50);
  }
  throw new StartError(`The PostgreSQL that runs on ${data} neither gets ready nor ends. Stop it by hand.`);
};

/** Asks the server which data it has: it answers, and takes our password. */
const identify = async (url: string, directory: string): Promise<string> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ identity: string }>(
      'SELECT system_identifier::text AS identity FROM pg_control_system()',
    );
    return rows[0]?.identity ?? '';
  } catch (error) {
    const lost = (error as { code?: string }).code === '28P01';
    throw new StartError(
      lost
        ? `The data in ${directory} does not fit the passwords in secrets.json. Put that file back, or begin anew with --reset.`
        : `The database in ${directory} does not answer: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
};

interface Launch {
  readonly directory: string;
  readonly place: DataLocation;
  readonly data: string;
  readonly password: string;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly onProgress: (what: string) => void;
  readonly port: number | undefined;
}

const launch = async (options: Launch): Promise<Server> => {
  const { directory, place, data, settings, onProgress } = options;
  const binaries = await findBinaries(place);
  await prepareData({ ...options, binaries });
  onProgress('starting PostgreSQL');
  const logPath = join(directory, 'postgres.log');
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const log = await openLog(logPath);
    const all = {
      ...defaultSettings,
      ...settings,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      port,
    };
    const child = spawn(
      join(binaries.folder, 'bin', 'postgres'),
      ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { ...spawnOptions(place.account), detached: true, stdio: ['ignore', log.handle.fd, log.handle.fd] },
    );
    const exited = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    child.unref();
    await log.handle.close();
    const ready = await Promise.race([becomesReady(data, child), exited.then(() => false)]);
    if (ready && child.pid !== undefined) return { port, pid: child.pid, child };
    const said = (await readFile(logPath)).subarray(log.size).toString();
    const again =
      // The free port was taken meanwhile, or the last processes of a killed server are just leaving.
      (options.port === undefined && said.includes('Address already in use')) ||
      /shared memory block .* still in use/.test(said);
    if (!again || attempt === 20) throw explainFailure(said, port, data);
    await delay(250);
  }
};

const becomesReady = async (data: string, child: ChildProcess): Promise<boolean> => {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const postmaster = await readPostmaster(data);
    if (postmaster?.pid === child.pid && postmaster?.ready) return true;
    await delay(10);
  }
  child.kill('SIGQUIT');
  return false;
};

/** The server's log, open at its end; one that has grown too long is begun anew. */
const openLog = async (path: string) => {
  const handle = await open(path, 'a', 0o600);
  if ((await handle.stat()).size > logLimitBytes) await handle.truncate();
  const { size } = await handle.stat();
  return { handle, size };
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
