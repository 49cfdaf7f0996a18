import { setTimeout as delay } from 'node:timers/promises';
import {
  findEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '@cinegraph/local/postgres/embedded';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import type { CliEnv, LocalSubgraph } from './graph.js';

/** The databases of the subgraphs and of the event log. */
export interface Databases {
  /** The URLs, by the variable `DATABASE_URL_<NAME>` of each. */
  readonly urls: Readonly<Record<string, string>>;
  /**
   * The databases on the embedded PostgreSQL, and the id of its data, which a reset changes; undefined if it
   * has none of them.
   */
  readonly embedded: { readonly dataId: string; readonly names: readonly string[] } | undefined;
  stop(): Promise<void>;
}

interface DatabasesOptions {
  readonly data: string;
  readonly env: CliEnv;
  readonly subgraphs: readonly LocalSubgraph[];
}

/**
 * Provides a database for each subgraph, and for the event log unless Kafka is the broker: the one that its
 * variable names, or one on the embedded PostgreSQL, which is started if any is needed. If that server dies,
 * it is started again on its port; `onGivenUp` is called if this fails. The caller holds the lock of the data
 * folder.
 */
export const startDatabases = async (
  options: DatabasesOptions & {
    readonly onProgress: (what: string) => void;
    readonly onGivenUp: (error: unknown) => void;
  },
): Promise<Databases> => {
  const { data, onProgress, onGivenUp } = options;
  if (embeddedNames(options).length === 0) {
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

/**
 * Provides the same databases while `npm start` runs: waits for its server, uses it, and does not stop it.
 */
export const joinDatabases = async (
  options: DatabasesOptions & { readonly signal: AbortSignal; readonly isRunning: () => Promise<boolean> },
): Promise<Databases> => {
  const stop = async () => undefined;
  if (embeddedNames(options).length === 0) {
    return { urls: await urlsOf(options), embedded: undefined, stop };
  }
  for (;;) {
    const server = await findEmbeddedPostgres(options.data);
    if (server) return { urls: await urlsOf(options, server), embedded: describe(options, server), stop };
    if (!(await options.isRunning())) {
      throw new StartError('The npm start that was running has ended. Try again.');
    }
    await delay(200, undefined, { signal: options.signal });
  }
};

const describe = (options: DatabasesOptions, { dataId }: EmbeddedPostgres) => ({
  dataId,
  names: embeddedNames(options),
});

const requested = ({ env, subgraphs }: DatabasesOptions) => [...subgraphs, ...env.furtherDatabases];

/** Returns the names of the databases that no variable puts on another server. */
const embeddedNames = (options: DatabasesOptions): readonly string[] =>
  requested(options)
    .filter(({ databaseVariable }) => options.env.databaseUrls[databaseVariable] === undefined)
    .map(({ name }) => name);

const urlsOf = async (
  options: DatabasesOptions,
  server?: EmbeddedPostgres,
): Promise<Record<string, string>> => {
  const urls: Record<string, string> = {};
  for (const { name, databaseVariable } of requested(options)) {
    const url = options.env.databaseUrls[databaseVariable] ?? (await server?.ensureDatabase(name));
    if (url !== undefined) urls[databaseVariable] = url;
  }
  return urls;
};
