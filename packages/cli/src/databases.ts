import { setTimeout as delay } from 'node:timers/promises';
import {
  findEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '@cinegraph/local/postgres/embedded';
import { StartError } from '@cinegraph/service/start-error';
import { say } from './console.js';
import type { CliEnv, LocalSubgraph } from './graph.js';

/** The databases of the subgraphs and of the log, and the server of ours behind those that have none of the person's own. */
export interface Databases {
  /** `DATABASE_URL_<NAME>` of each. */
  readonly urls: Readonly<Record<string, string>>;
  /** Which databases are on our server, and which data that has; undefined where none is. */
  readonly embedded: { readonly identity: string; readonly names: readonly string[] } | undefined;
  stop(): Promise<void>;
}

interface DatabasesOptions {
  readonly data: string;
  readonly env: CliEnv;
  readonly subgraphs: readonly LocalSubgraph[];
}

/**
 * Makes a database available for each subgraph, and for the log unless there is Kafka: the one its variable names, or one on the embedded PostgreSQL, which is
 * started if any is needed. A server that dies is started again on its port; `onGivenUp` is told when that fails.
 * The caller holds the lock of the data folder.
 */
export const startDatabases = async (
  options: DatabasesOptions & {
    readonly onProgress: (what: string) => void;
    readonly onGivenUp: (error: unknown) => void;
  },
): Promise<Databases> => {
  const { data, onProgress, onGivenUp } = options;
  if (ownNames(options).length === 0) {
    return { urls: await urlsOf(options), embedded: undefined, stop: async () => undefined };
  }
  let stopping = false;
  let server = await startEmbeddedPostgres({ directory: data, onProgress });
  const { port } = server;
  let restarting: Promise<void> | undefined;
  const restartWhenDead = async () => {
    await server.died;
    if (stopping) return;
    say('PostgreSQL died; starting it again');
    restarting = startEmbeddedPostgres({ directory: data, port }).then((started) => {
      server = started;
      say('PostgreSQL is back');
      void restartWhenDead();
    });
    await restarting.catch(onGivenUp);
  };
  const stop = async () => {
    stopping = true;
    await restarting?.catch(() => undefined);
    await server.stop();
  };
  void restartWhenDead();
  try {
    return { urls: await urlsOf(options, server), embedded: describe(options, server), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** The same databases from beside a start that runs: its server is waited for, used, and left alone. */
export const joinDatabases = async (
  options: DatabasesOptions & { readonly signal: AbortSignal; readonly isRunning: () => Promise<boolean> },
): Promise<Databases> => {
  const stop = async () => undefined;
  if (ownNames(options).length === 0) {
    return { urls: await urlsOf(options), embedded: undefined, stop };
  }
  for (;;) {
    const server = await findEmbeddedPostgres(options.data);
    if (server) return { urls: await urlsOf(options, server), embedded: describe(options, server), stop };
    if (!(await options.isRunning())) {
      throw new StartError('The start that was running has ended. Try again.');
    }
    await delay(200, undefined, { signal: options.signal });
  }
};

const describe = (options: DatabasesOptions, { dataId }: EmbeddedPostgres) => ({
  identity: dataId,
  names: ownNames(options).map(({ name }) => name),
});

const wanted = ({ env, subgraphs }: DatabasesOptions) => [...subgraphs, ...env.furtherDatabases];

const ownNames = (options: DatabasesOptions) =>
  wanted(options).filter(({ databaseVariable }) => options.env.databaseUrls[databaseVariable] === undefined);

const urlsOf = async (
  options: DatabasesOptions,
  server?: EmbeddedPostgres,
): Promise<Record<string, string>> => {
  const urls: Record<string, string> = {};
  for (const { name, databaseVariable } of wanted(options)) {
    const given = options.env.databaseUrls[databaseVariable] ?? (await server?.ensureDatabase(name));
    if (given !== undefined) urls[databaseVariable] = given;
  }
  return urls;
};
