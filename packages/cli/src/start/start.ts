import { join, relative } from 'node:path';
import { removeEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import { ensureBuilt, stateOfSources } from '../../bootstrap/build.mjs';
import { takeLock } from '../../bootstrap/lock.mjs';
import { readStartOptions, type StartOptions } from '../../bootstrap/options.mjs';
import { ensureDemoUser, jwtIssuersOf, printDemoUser, tokenVariables, usersSubgraph } from './demo-user.js';
import { assertAnswers, printReadyBanner } from './ready-banner.js';
import { startDatabases } from '../databases.js';
import {
  composedSupergraph,
  databasesOf,
  environmentOf,
  readCliEnv,
  readLocalSubgraphs,
  readSubgraphKey,
  readUncomposed,
  root,
} from '../graph.js';
import { importAtFirstStart } from '../import/first-import.js';
import { lockOf } from '../jobs.js';
import { aborted, startService } from './service-process.js';
import { watchSubgraphs, type WatchedSubgraph } from './watch-subgraphs.js';

/**
 * The command `start`: starts the databases, the subgraphs of supergraph.yaml and then the gateway, prints
 * its URLs, and runs until `signal` is aborted (returns 0) or a part keeps failing (throws). In either case
 * everything that was started is stopped in reverse order: the gateway first, PostgreSQL last.
 */
export const start = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const options = readStartOptions(args, root);
  const { release, holder } = await takeLock(lockOf(options.data), 'start');
  if (holder) {
    throw new StartError(
      `${options.data} is in use: process ${holder.pid} runs "${holder.purpose}" on it. Stop that process first, or start a second graph with --data <folder> --port <port>.`,
    );
  }
  const started: (() => Promise<void>)[] = [];
  let failure: unknown;
  try {
    if (options.reset) {
      await removeEmbeddedPostgres(options.data);
      say('all data removed');
    }
    await runGraph(options, signal, started);
  } catch (error) {
    if (!signal.aborted) failure = error;
  }
  if (started.length > 0) say('stopping');
  for (const stop of started.reverse()) {
    await stop().catch((error: unknown) => (failure ??= error));
  }
  release();
  if (failure !== undefined) throw failure;
  say('stopped');
  return 0;
};

/**
 * Starts everything, appends the functions that stop it to `started`, and waits. It never resolves, it only
 * throws.
 */
const runGraph = async (
  { data, port, watch }: StartOptions,
  signal: AbortSignal,
  started: (() => Promise<void>)[],
): Promise<never> => {
  let onGivenUp = (_error: unknown): void => undefined;
  const failed = new Promise<never>((_resolve, reject) => (onGivenUp = reject));
  // It may reject before anything waits for it.
  failed.catch(() => undefined);

  const subgraphs = await readLocalSubgraphs();
  const env = readCliEnv(subgraphs);
  const uncomposed =
    env.SUPERGRAPH_PATH === composedSupergraph ? await readUncomposed(composedSupergraph) : [];
  if (uncomposed.length > 0) {
    say(`supergraph.graphql does not contain ${uncomposed.join(', ')} yet. Run: npm run compose`);
  }
  const key = await readSubgraphKey(env, data);
  const databases = await startDatabases({ data, env, subgraphs, onProgress: say, onGivenUp });
  started.push(databases.stop);
  signal.throwIfAborted();

  const common = environmentOf(env, { NODE_ENV: env.NODE_ENV, LOG_LEVEL: env.LOG_LEVEL, SUBGRAPH_KEY: key });
  await importAtFirstStart({ data, subgraphs, databases, env: common, signal });
  signal.throwIfAborted();

  say(`starting ${[...subgraphs.map(({ name }) => name), 'gateway'].join(', ')}`);
  const watched: WatchedSubgraph[] = [];
  const services = await Promise.allSettled(
    subgraphs.map(async (subgraph) => {
      const { name, main, urlVariable } = subgraph;
      const service = await startService({
        ...{ name, main, signal, onGivenUp, port: 0 },
        env: {
          ...common,
          ...databasesOf(subgraph, databases.urls),
          ...(name === usersSubgraph && tokenVariables),
        },
      });
      started.push(service.stop);
      const sources = [relative(root, subgraph.folder), `prisma/${name}`];
      watched.push({ name, restart: service.restart, state: () => stateOfSources(root, sources) });
      return { name, urlVariable, url: service.url };
    }),
  );
  const running = services.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  const usersUrl = running.find(({ name }) => name === usersSubgraph)?.url;
  const demo =
    usersUrl === undefined || env.NODE_ENV === 'production'
      ? undefined
      : await ensureDemoUser({ usersUrl, key, data, signal });
  const gateway = await startService({
    ...{ name: 'gateway', main: join(root, 'gateway', 'dist', 'main.js'), signal, onGivenUp, port },
    // The gateway does not use the broker, so it does not get its password.
    env: {
      ...common,
      KAFKA_PASSWORD: undefined,
      SUPERGRAPH_PATH: env.SUPERGRAPH_PATH,
      BUDGET_FIELDS: env.BUDGET_FIELDS,
      ...Object.fromEntries(running.map(({ urlVariable, url }) => [urlVariable, `${url}/graphql`])),
      ...(usersUrl !== undefined && { JWT_ISSUERS: jwtIssuersOf(usersUrl, common['JWT_ISSUERS']) }),
      ...(demo && { DEMO_LOGIN: `${demo.login}:${demo.password}` }),
    },
  });
  started.push(gateway.stop);
  await assertAnswers(gateway.url, signal);
  await printReadyBanner(gateway.url);
  if (demo?.isNew) printDemoUser(gateway.url, demo);
  if (watch) {
    const isComposed = env.SUPERGRAPH_PATH === composedSupergraph;
    void keepUpToDate(watched, isComposed, signal).catch(onGivenUp);
  }
  return Promise.race([failed, aborted(signal)]);
};

/** Builds, restarts and composes after each change of a subgraph; the gateway loads the file by itself. */
const keepUpToDate = async (
  subgraphs: readonly WatchedSubgraph[],
  isComposed: boolean,
  signal: AbortSignal,
) => {
  // Loaded now, because a change may build this file again.
  const { compose } = await import('../compose/command.js');
  say(`watching ${subgraphs.map(({ name }) => name).join(', ')}`);
  await watchSubgraphs({
    ...{ subgraphs, signal, report: say },
    build: () => ensureBuilt(root, signal, say),
    recompose: async () => {
      if (isComposed) await compose([], { folder: root, print: say, complain: say });
    },
  });
};
