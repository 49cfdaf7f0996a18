import { join } from 'node:path';
import { removeEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { StartError } from '@cinegraph/service/start-error';
import { takeLock } from '../bootstrap/lock.mjs';
import { readStartOptions, type StartOptions } from '../bootstrap/options.mjs';
import { announce, assertAnswers } from './ready-banner.js';
import { say } from './console.js';
import { startDatabases } from './databases.js';
import {
  databasesOf,
  environmentOf,
  ownSupergraph,
  readCliEnv,
  readLocalSubgraphs,
  readSubgraphKey,
  readUncomposed,
  root,
} from './graph.js';
import { importAtFirstStart } from './first-import.js';
import { lockOf } from './jobs.js';
import { aborted, startService } from './service-process.js';

/**
 * The command `start`: brings up the databases, the subgraphs of supergraph.yaml and last the gateway, says where to
 * click, and runs until `signal` is aborted (answers 0) or a part cannot be kept alive (throws). Whatever ends it, all
 * that was started is stopped in reverse: the gateway first, PostgreSQL last.
 */
export const start = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const options = readStartOptions(args, root);
  const { release, holder } = await takeLock(lockOf(options.data), 'start');
  if (holder) {
    throw new StartError(
      `${options.data} is in use: process ${holder.pid} runs "${holder.purpose}" on it. Stop that one first, or start a second graph with --data <folder> --port <port>.`,
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

/** Starts everything, puts how to stop it into `started`, and waits; it only ever ends by throwing. */
const runGraph = async (
  { data, port }: StartOptions,
  signal: AbortSignal,
  started: (() => Promise<void>)[],
): Promise<never> => {
  let onGivenUp = (_error: unknown): void => undefined;
  const givenUp = new Promise<never>((_resolve, reject) => (onGivenUp = reject));
  // It may come before anybody waits for it.
  givenUp.catch(() => undefined);

  const subgraphs = await readLocalSubgraphs();
  const env = readCliEnv(subgraphs);
  const uncomposed = env.SUPERGRAPH_PATH === ownSupergraph ? await readUncomposed(ownSupergraph) : [];
  if (uncomposed.length > 0) {
    say(`supergraph.graphql does not know ${uncomposed.join(', ')} yet: npm run compose`);
  }
  const key = await readSubgraphKey(env, data);
  const databases = await startDatabases({ data, env, subgraphs, onProgress: say, onGivenUp });
  started.push(databases.stop);
  signal.throwIfAborted();

  const common = environmentOf(env, { NODE_ENV: env.NODE_ENV, LOG_LEVEL: env.LOG_LEVEL, SUBGRAPH_KEY: key });
  await importAtFirstStart({ data, subgraphs, databases, env: common, signal });
  signal.throwIfAborted();

  say(`starting ${[...subgraphs.map(({ name }) => name), 'gateway'].join(', ')}`);
  const services = await Promise.allSettled(
    subgraphs.map(async (subgraph) => {
      const { name, main, urlVariable } = subgraph;
      const service = await startService({
        ...{ name, main, signal, onGivenUp, port: 0 },
        env: { ...common, ...databasesOf(subgraph, databases.urls) },
      });
      started.push(service.stop);
      return [urlVariable, `${service.url}/graphql`] as const;
    }),
  );
  const urls = services.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  const gateway = await startService({
    ...{ name: 'gateway', main: join(root, 'gateway', 'dist', 'main.js'), signal, onGivenUp, port },
    // The gateway has nothing to do with events.
    env: {
      ...common,
      KAFKA_PASSWORD: undefined,
      SUPERGRAPH_PATH: env.SUPERGRAPH_PATH,
      ...Object.fromEntries(urls),
    },
  });
  started.push(gateway.stop);
  await assertAnswers(gateway.url, signal);
  await announce(gateway.url);
  return Promise.race([givenUp, aborted(signal)]);
};
