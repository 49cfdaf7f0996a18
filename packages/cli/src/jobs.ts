import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import { takeLock } from '../bootstrap/lock.mjs';
import { takeDataOption } from '../bootstrap/options.mjs';
import { say } from './console.js';
import { joinDatabases, startDatabases } from './databases.js';
import {
  environmentOf,
  exists,
  readCliEnv,
  readLocalSubgraphs,
  readSubgraphKey,
  root,
  type LocalSubgraph,
} from './graph.js';

/** The file that says which process has the data folder. */
export const lockOf = (data: string): string => join(data, 'start.lock');

/**
 * Hands `work` the databases by their variables, and the environment of processes on them: those of a start that runs
 * beside us, or brought up for as long as `work` takes. One job at a time; answers what `work` answers.
 */
export const withDatabases = async (
  options: {
    readonly purpose: string;
    /** The folder with the embedded databases. */
    readonly data: string;
    readonly subgraphs: readonly LocalSubgraph[];
    readonly signal: AbortSignal;
  },
  work: (
    urls: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string | undefined>>,
  ) => Promise<number>,
): Promise<number> => {
  const { purpose, data, subgraphs, signal } = options;
  const env = readCliEnv(subgraphs);
  const lock = await takeLock(lockOf(data), purpose);
  if (lock.holder && lock.holder.purpose !== 'start') {
    throw new StartError(
      `Process ${lock.holder.pid} runs "${lock.holder.purpose}" on the data. Wait for its end.`,
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

/** Runs a compiled file as a process with this console; answers its exit code. Aborting asks it to end. */
export const runScript = (
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', file, ...args], {
      env,
      stdio: 'inherit',
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', reject);
    child.once('exit', (code) => {
      signal.removeEventListener('abort', stop);
      resolve(code ?? 1);
    });
  });

/**
 * A command that a subgraph brings along, as `npm run ratings`: runs `dist/<command>.js` of the subgraph that has it, on
 * the databases (where its own is given by a variable, those that are given), the broker, with the graph's secret, in the
 * folder that `--data` names. Answers its exit code.
 */
export const runSubgraphCommand = async (
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const all = await readLocalSubgraphs();
  for (const subgraph of all) {
    const file = join(subgraph.folder, 'dist', `${command}.js`);
    if (!(await exists(file))) continue;
    const { databaseUrls } = readCliEnv(all);
    const isGiven = ({ databaseVariable }: LocalSubgraph) => databaseUrls[databaseVariable] !== undefined;
    // It may look at the databases of the others as well, as `lag` does.
    const subgraphs = isGiven(subgraph) ? all.filter(isGiven) : all;
    return withDatabases({ purpose: command, data, subgraphs, signal }, async (urls, env) => {
      const folder = join(data, 'imports');
      await mkdir(folder, { recursive: true });
      const own = {
        SUBGRAPH_KEY: await readSubgraphKey(readCliEnv([subgraph]), data),
        IMPORT_FOLDER: folder,
      };
      return runScript(file, rest, { ...env, ...urls, ...own }, signal);
    });
  }
  throw new StartError(`No subgraph of supergraph.yaml has the command "${command}".`);
};

/**
 * A command that every subgraph may have, as `npm run announce`: runs `dist/<command>.js` of each that has it, one after the
 * other, each on its own database. Answers 0, or the exit code of the first that failed.
 */
export const runEverywhere = async (
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const subgraphs = await readLocalSubgraphs();
  return withDatabases({ purpose: command, data, subgraphs, signal }, async (urls, env) => {
    for (const { folder, databaseVariable } of subgraphs) {
      const file = join(folder, 'dist', `${command}.js`);
      if (signal.aborted || !(await exists(file))) continue;
      const own = { ...env, [databaseVariable]: urls[databaseVariable] };
      const code = await runScript(file, rest, own, signal);
      if (code !== 0) return code;
    }
    return 0;
  });
};
