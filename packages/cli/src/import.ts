import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import { waitForLock } from '../bootstrap/lock.mjs';
import { takeDataOption } from '../bootstrap/options.mjs';
import { say } from './console.js';
import { databasesOf, readLocalSubgraphs, root, type LocalSubgraph } from './graph.js';
import { runScript, withDatabases } from './jobs.js';

/** The file by which importers of one run pass movies on; written by `handOver` of packages/subgraph. */
const handoverFile = 'handover.jsonl';

/** The source that an empty graph is filled with. */
export const defaultSource = 'catalogue';

const help = (sources: readonly string[]) => `npm run import -- <source> [--data <folder>] [arguments]

Reads an outside source into the database of each subgraph that knows it; running it again changes nothing.
The embedded databases are those in .data, or in the folder that --data names.
Sources: ${sources.join(', ') || 'none'}
`;

/**
 * The command `import`: reads a source into each subgraph that has an importer for it, in the order of supergraph.yaml.
 * Uses the databases of a start that runs beside it, or brings them up for itself. Answers the exit code.
 */
export const importSource = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const subgraphs = await readLocalSubgraphs();
  const sources = await listSources(subgraphs);
  const { data, rest: words } = takeDataOption(args, root);
  const [source, ...rest] = words;
  if (source === undefined || source === '--help' || source === '-h') {
    say(help(sources));
    return source === undefined ? 1 : 0;
  }
  if (!sources.includes(source)) {
    throw new StartError(`There is no source "${source}". The sources are: ${sources.join(', ') || 'none'}.`);
  }
  return withDatabases({ purpose: 'import', data, subgraphs, signal }, (urls, env) =>
    runImporters({ subgraphs, source, args: rest, env, urls, signal, data }),
  );
};

/**
 * Runs the importers of a source one after the other, each as a process with this console. Answers 0, or the exit code
 * of the first that failed, behind which none is run. Waits while another run has the data folder: what one subgraph
 * hands over to the next is of one run.
 */
export const runImporters = async (options: {
  readonly subgraphs: readonly LocalSubgraph[];
  readonly source: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The databases, by variable; an importer gets only its own and the log. */
  readonly urls: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The data folder; in its `imports` an importer leaves what those behind it read, and the refused records. */
  readonly data: string;
}): Promise<number> => {
  const { subgraphs, source, args, env, urls, signal, data } = options;
  const shared = join(data, 'imports');
  await mkdir(shared, { recursive: true });
  const release = await takeTurn(join(shared, 'import.lock'), signal);
  if (!release) return 1;
  try {
    // Of another run: nothing is taken over from it.
    await rm(join(shared, handoverFile), { force: true });
    for (const subgraph of subgraphs) {
      const importer = join(subgraph.folder, 'dist', 'import', `${source}.js`);
      if (signal.aborted || !(await isImporter(importer))) continue;
      const own = { ...env, ...databasesOf(subgraph, urls), IMPORT_FOLDER: shared };
      const code = await runScript(importer, args, own, signal);
      if (code !== 0) return code;
    }
    return 0;
  } finally {
    release();
  }
};

/** Waits until no other run has the lock; answers how it is given back, or undefined when it was aborted before. */
const takeTurn = async (lock: string, signal: AbortSignal): Promise<(() => void) | undefined> => {
  try {
    const onWait = ({ pid }: { pid: number }) => say(`process ${pid} imports as well; waiting for its end`);
    return await waitForLock(lock, 'import', onWait, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
};

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
