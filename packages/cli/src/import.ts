import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { StartError } from '@cinegraph/kit/errors';
import { takeLock } from '../bootstrap/lock.mjs';
import { say } from './console.js';
import { joinDatabases, startDatabases } from './databases.js';
import { environmentOf, readCliEnv, readLocalSubgraphs, root, type LocalSubgraph } from './graph.js';

/** The source that an empty graph is filled with. */
export const defaultSource = 'catalogue';

const help = (sources: readonly string[]) => `npm run import -- <source> [arguments]

Reads an outside source into the database of each subgraph that knows it; running it again changes nothing.
Sources: ${sources.join(', ') || 'none'}
`;

/**
 * The command `import`: reads a source into each subgraph that has an importer for it, in the order of supergraph.yaml.
 * Uses the databases of a start that runs beside it, or brings them up for itself. Answers the exit code.
 */
export const importSource = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const subgraphs = await readLocalSubgraphs();
  const sources = await listSources(subgraphs);
  const [source, ...rest] = args;
  if (source === undefined || source === '--help' || source === '-h') {
    say(help(sources));
    return source === undefined ? 1 : 0;
  }
  if (!sources.includes(source)) {
    throw new StartError(`There is no source "${source}". The sources are: ${sources.join(', ') || 'none'}.`);
  }
  const env = readCliEnv(subgraphs);
  const data = join(root, '.data');
  const lock = await takeLock(lockOf(data), 'import');
  if (lock.holder && lock.holder.purpose !== 'start') {
    throw new StartError(`Another import (process ${lock.holder.pid}) is running. Wait for its end.`);
  }
  const options = { data, env, subgraphs };
  let lost: unknown;
  try {
    const databases = lock.release
      ? await startDatabases({ ...options, onProgress: say, onGivenUp: (error) => (lost = error) })
      : await joinDatabases({
          ...options,
          signal,
          isRunning: async () => (await takeLockBriefly(data)) !== undefined,
        });
    try {
      const code = await runImporters({
        ...{ subgraphs, source, args: rest, signal, urls: databases.urls },
        env: environmentOf(env, { LOG_LEVEL: env.LOG_LEVEL }),
      });
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

/** The file that says which process has the data folder. */
export const lockOf = (data: string): string => join(data, 'start.lock');

const takeLockBriefly = async (data: string) => {
  const { release, holder } = await takeLock(lockOf(data), 'import');
  release?.();
  return holder;
};

/**
 * Runs the importers of a source one after the other, each as a process with this console. Answers 0, or the exit code
 * of the first that failed, behind which none is run.
 */
export const runImporters = async (options: {
  readonly subgraphs: readonly LocalSubgraph[];
  readonly source: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The database of each, by its variable; an importer gets only its own. */
  readonly urls: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}): Promise<number> => {
  const { subgraphs, source, args, env, urls, signal } = options;
  for (const { folder, databaseVariable } of subgraphs) {
    const importer = join(folder, 'dist', 'import', `${source}.js`);
    if (signal.aborted || !(await isImporter(importer))) continue;
    const own = { ...env, [databaseVariable]: urls[databaseVariable] };
    const code = await runImporter(importer, args, own, signal);
    if (code !== 0) return code;
  }
  return 0;
};

const runImporter = (
  importer: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', importer, ...args], {
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', reject);
    child.once('exit', (code) => {
      signal.removeEventListener('abort', stop);
      resolve(code ?? 1);
    });
  });

const listSources = async (subgraphs: readonly LocalSubgraph[]): Promise<readonly string[]> => {
  const sources = new Set<string>();
  for (const { folder } of subgraphs) {
    const imports = join(folder, 'dist', 'import');
    for (const name of await readdir(imports).catch(() => [])) {
      if (await isImporter(join(imports, name))) sources.add(basename(name, '.js'));
    }
  }
  return [...sources].sort();
};

/** Beside the importers lie files that they share; an importer is one that runs itself. */
const isImporter = async (path: string): Promise<boolean> =>
  path.endsWith('.js') && /\brunImport\(/.test(await readFile(path, 'utf8').catch(() => ''));
