import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { exists } from '../exists.js';
import { freePort } from '../free-port.js';
import { openSecrets, type Secrets } from '../secrets.js';
import {
  fallbackFolder,
  findBinaries,
  findInstallation,
  spawnOptions,
  type Installation,
} from './binaries.js';
import { ensureDatabase, explainFailure, prepareData } from './data.js';
import { isServerOf, readPostmaster, stopServer, whenGone } from './postmaster.js';

/** A running PostgreSQL server on the loopback address. */
export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  readonly superuserUrl: string;
  /** PostgreSQL's data directory: below `directory`, unless the account of the server may not enter that. */
  readonly dataDirectory: string;
  /** PostgreSQL's system identifier of the data. A new data directory has another one. */
  readonly dataId: string;
  /** Whether the server was started by an earlier process that left it running. */
  readonly adopted: boolean;
  /** Creates the database if it is missing. Returns its URL for a role that owns only this database. */
  ensureDatabase(name: string): Promise<string>;
  /** Resolves if the server exits without `stop`. */
  readonly died: Promise<void>;
  /** Stops the server by a fast shutdown (open transactions are rolled back) and waits for its process. */
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
 * Starts a real PostgreSQL on the data below `directory`, which is created at first use. A server that a
 * killed process left running is taken over. The server listens on 127.0.0.1 only, on `port` or any free one,
 * and requires a password (SCRAM). It runs in a session of its own, so that Ctrl-C in a terminal does not
 * reach it: whoever starts it stops it. The caller ensures that one process at a time uses a directory.
 *
 * Throws a {@link StartError} if the disk is full, the port is taken, the data is damaged or belongs to
 * another account, or the platform has no binaries.
 */
export const startEmbeddedPostgres = async (options: {
  directory: string;
  port?: number;
  settings?: Readonly<Record<string, string | number>>;
  onProgress?: (what: string) => void;
}): Promise<EmbeddedPostgres> => {
  const { settings = {}, onProgress = () => undefined, port } = options;
  const cluster = await openCluster(options.directory);
  const { directory, dataDirectory, urlOf } = cluster;
  const found = await findServer(dataDirectory, urlOf);
  if (found) return present(cluster, found, true);
  const password = await cluster.secrets.get('postgres');
  const server = await launch({ ...cluster, password, settings, onProgress, port });
  const dataId = await readDataId(urlOf(server.port), directory).catch(async (error: unknown) => {
    await stopServer(dataDirectory, server.pid);
    throw error;
  });
  return present(cluster, { ...server, dataId }, false);
};

/** Returns the server that already runs on the data below `directory`, or `undefined`. Never starts one. */
export const findEmbeddedPostgres = async (directory: string): Promise<EmbeddedPostgres | undefined> => {
  // Opening the cluster would create the password if there is none.
  if (!existsSync(join(directory, 'secrets.json'))) return undefined;
  const cluster = await openCluster(directory);
  const found = await findServer(cluster.dataDirectory, cluster.urlOf);
  return found && present(cluster, found, true);
};

/** A database cluster in PostgreSQL's sense: one data directory, with or without a running server. */
interface Cluster {
  readonly directory: string;
  readonly installation: Installation;
  readonly dataDirectory: string;
  readonly secrets: Secrets;
  readonly urlOf: (port: number) => string;
}

const openCluster = async (path: string): Promise<Cluster> => {
  const directory = resolve(path);
  const installation = await findInstallation(directory);
  const secrets = openSecrets(join(directory, 'secrets.json'));
  const password = await secrets.get('postgres');
  return {
    directory,
    installation,
    dataDirectory: join(installation.folder, 'postgres'),
    secrets,
    urlOf: (port) => urlOf(port, 'postgres', password, 'postgres'),
  };
};

const urlOf = (port: number, role: string, password: string, database: string) =>
  `postgresql://${encodeURIComponent(role)}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

const present = (cluster: Cluster, server: ReadyServer, adopted: boolean): EmbeddedPostgres => {
  const { dataDirectory, secrets } = cluster;
  const superuserUrl = cluster.urlOf(server.port);
  let stopping: Promise<void> | undefined;
  const { child } = server;
  const gone = child
    ? new Promise<void>((resolve) => child.once('exit', () => resolve()))
    : whenGone(server.pid);
  const stop = async () => {
    // The wait for its exit must keep this process alive.
    child?.ref();
    await stopServer(dataDirectory, server.pid);
    if (child) await gone;
  };
  return {
    port: server.port,
    pid: server.pid,
    superuserUrl,
    dataDirectory,
    dataId: server.dataId,
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

/**
 * Stops the server of `directory`, if one is running, and removes its data, log and passwords. Other files in
 * the directory are kept.
 */
export const removeEmbeddedPostgres = async (directory: string): Promise<void> => {
  if (!(await exists(directory))) return;
  const fallback = await fallbackFolder(directory);
  for (const folder of [join(resolve(directory), 'postgres'), join(fallback, 'postgres')]) {
    const postmaster = await readPostmaster(folder);
    if (postmaster && (await isServerOf(postmaster.pid, folder))) {
      await stopServer(folder, postmaster.pid);
    }
    await rm(folder, { recursive: true, force: true });
  }
  await rm(fallback, { recursive: true, force: true });
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

/** A server that accepts connections. */
interface ReadyServer extends Server {
  readonly dataId: string;
}

/**
 * Returns the server that runs on the data directory, once it is ready; waits for one that is just shutting
 * down.
 */
const findServer = async (
  dataDirectory: string,
  urlOf: (port: number) => string,
): Promise<ReadyServer | undefined> => {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    const postmaster = await readPostmaster(dataDirectory);
    if (!postmaster || !(await isServerOf(postmaster.pid, dataDirectory))) {
      // PostgreSQL refuses to start while the file is half written, or names a process that is another
      // program by now.
      await rm(join(dataDirectory, 'postmaster.pid'), { force: true });
      return undefined;
    }
    if (postmaster.ready) {
      const dataId = await readDataId(urlOf(postmaster.port), dataDirectory);
      return { port: postmaster.port, pid: postmaster.pid, dataId };
    }
    await delay(50);
  }
  throw new StartError(
    `The PostgreSQL that runs on ${dataDirectory} neither becomes ready nor exits. Stop it by hand.`,
  );
};

/** Reads PostgreSQL's system identifier, which also proves that the server accepts the stored password. */
const readDataId = async (url: string, directory: string): Promise<string> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ id: string }>(
      'SELECT system_identifier::text AS id FROM pg_control_system()',
    );
    return rows[0]?.id ?? '';
  } catch (error) {
    const isWrongPassword = (error as { code?: string }).code === '28P01';
    throw new StartError(
      isWrongPassword
        ? `The data in ${directory} does not fit the passwords in secrets.json. Restore that file, or start again with --reset (the data is lost).`
        : `The database in ${directory} does not answer: ${reasonOf(error)}.`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
};

interface LaunchOptions extends Cluster {
  readonly password: string;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly onProgress: (what: string) => void;
  readonly port: number | undefined;
}

const launch = async (options: LaunchOptions): Promise<Server> => {
  const { directory, installation, dataDirectory, settings, onProgress } = options;
  const binaries = await findBinaries(installation);
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
      ['-D', dataDirectory, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...spawnOptions(installation.account),
        ...{ detached: true, stdio: ['ignore', log.handle.fd, log.handle.fd] },
      },
    );
    const exited = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    child.unref();
    await log.handle.close();
    const ready = await Promise.race([becomesReady(dataDirectory, child), exited.then(() => false)]);
    if (ready && child.pid !== undefined) return { port, pid: child.pid, child };
    const output = (await readFile(logPath)).subarray(log.size).toString();
    const mayRetry =
      // Another program took the free port meanwhile, or processes of a killed server are still exiting.
      (options.port === undefined && output.includes('Address already in use')) ||
      /shared memory block .* still in use/.test(output);
    if (!mayRetry || attempt === 20) throw explainFailure(output, port, dataDirectory);
    await delay(250);
  }
};

const becomesReady = async (dataDirectory: string, child: ChildProcess): Promise<boolean> => {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const postmaster = await readPostmaster(dataDirectory);
    if (postmaster?.pid === child.pid && postmaster?.ready) return true;
    await delay(10);
  }
  child.kill('SIGQUIT');
  return false;
};

/** Opens the server's log at its end. A log of more than 5 MB is emptied first. */
const openLog = async (path: string) => {
  const handle = await open(path, 'a', 0o600);
  if ((await handle.stat()).size > logLimitBytes) await handle.truncate();
  const { size } = await handle.stat();
  return { handle, size };
};
