import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import { takeLock } from '../bootstrap/lock.mjs';
import { takeDataOption } from '../bootstrap/options.mjs';
import { joinDatabases, startDatabases } from './databases.js';
import {
  databasesOf,
  environmentOf,
  readCliEnv,
  readLocalSubgraphs,
  readSubgraphKey,
  root,
  type LocalSubgraph,
} from './graph.js';

/** The variables of a process's environment. */
type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the path of the lock file of a data folder. */
export const lockOf = (data: string): string => join(data, 'start.lock');

/**
 * Calls `work` with the URLs of the databases by their variables, and with the environment for processes that
 * use them; returns what `work` returns. The databases are those of a running `npm start`, or are started
 * until `work` ends. Only one such job runs at a time.
 */
export const withDatabases = async (
  options: {
    readonly purpose: string;
    /** The folder with the embedded databases. */
    readonly data: string;
    readonly subgraphs: readonly LocalSubgraph[];
    readonly signal: AbortSignal;
  },
  work: (urls: Readonly<Record<string, string>>, env: Environment) => Promise<number>,
): Promise<number> => {
  const { purpose, data, subgraphs, signal } = options;
  const env = readCliEnv(subgraphs);
  const lock = await takeLock(lockOf(data), purpose);
  if (lock.holder && lock.holder.purpose !== 'start') {
    throw new StartError(
      `Process ${lock.holder.pid} runs "${lock.holder.purpose}" on the data. Wait until it ends.`,
    );
  }
  let lost: unknown;
  try {
    const databases = lock.release
      ? await startDatabases({ data, env, subgraphs, onProgress: say, onGivenUp: (error) => (lost = error) })
      : await joinDatabases({
          ...{ data, env, subgraphs, signal },
          isRunning: async () => {
            const { release, holder } = await takeLock(lockOf(data), purpose);
            release?.();
            return holder !== undefined;
          },
        });
    try {
      const code = await work(databases.urls, environmentOf(env, { LOG_LEVEL: env.LOG_LEVEL }));
      if (lost !== undefined) throw lost;
      signal.throwIfAborted();
      return code;
    } finally {
      await databases.stop();
    }
  } finally {
    lock.release?.();
  }
};

/**
 * Runs a compiled file as a process with this console, and returns its exit code. `onOutput` takes its
 * standard output instead of the console. Aborting sends it SIGTERM.
 */
export const runScript = (
  file: string,
  args: readonly string[],
  env: Environment,
  signal: AbortSignal,
  onOutput?: (text: string) => void,
): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', file, ...args], {
      env,
      stdio: ['inherit', onOutput ? 'pipe' : 'inherit', 'inherit'],
    });
    if (onOutput) child.stdout?.setEncoding('utf8').on('data', onOutput);
    const stop = () => child.kill('SIGTERM');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', reject);
    // `close`, not `exit`: by then all output has been read.
    child.once('close', (code) => {
      signal.removeEventListener('abort', stop);
      resolve(code ?? 1);
    });
  });

/**
 * Returns the variables that a command of this subgraph needs besides its databases, and creates the folder
 * they name.
 */
export const jobVariables = async (subgraph: LocalSubgraph, data: string): Promise<Environment> => {
  const folder = join(data, 'imports');
  await mkdir(folder, { recursive: true });
  return { SUBGRAPH_KEY: await readSubgraphKey(readCliEnv([subgraph]), data), IMPORT_FOLDER: folder };
};

/**
 * Runs a command of one subgraph's own command line, e.g. `npm run ratings -- rebuild`, on the database of
 * that subgraph, and returns its exit code. `--data` names the folder with the embedded databases.
 */
export const runSubgraphCommand = async (
  name: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const subgraph = (await readLocalSubgraphs()).find((local) => local.name === name);
  if (!subgraph)
    throw new StartError(`supergraph.yaml lists no subgraph ${name} with a build in this clone.`);
  const file = join(subgraph.folder, 'dist', 'command-line', 'main.js');
  return withDatabases({ purpose: name, data, subgraphs: [subgraph], signal }, async (urls, env) =>
    runScript(
      file,
      rest,
      { ...env, ...databasesOf(subgraph, urls), ...(await jobVariables(subgraph, data)) },
      signal,
    ),
  );
};
