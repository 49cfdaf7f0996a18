import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UsageError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import { helpOf } from '../../bootstrap/help.mjs';
import { waitForLock } from '../../bootstrap/lock.mjs';
import { takeDataOption } from '../../bootstrap/options.mjs';
import { databasesOf, readLocalSubgraphs, root, type LocalSubgraph } from '../graph.js';
import { runScript, withDatabases } from '../jobs.js';

/** The file in which the importers of one run hand over movies; `handOver` of packages/subgraph writes it. */
const handoverFile = 'handover.jsonl';

/** The source that fills an empty graph. */
export const defaultSource = 'catalogue';

/**
 * The command `import`: reads a source into each subgraph that has an importer for it, one after the other,
 * and returns the exit code. It uses the databases of a running `npm start`, or starts them for as long as it
 * runs.
 */
export const importSource = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const subgraphs = await readLocalSubgraphs();
  const sources = await listSources(subgraphs);
  const { data, rest: words } = takeDataOption(args, root);
  const [source, ...rest] = words;
  if (source === undefined) {
    process.stderr.write(helpOf.import);
    return 2;
  }
  if (!sources.includes(source)) {
    throw new UsageError(`There is no source "${source}". The sources are: ${sources.join(', ') || 'none'}.`);
  }
  return withDatabases({ purpose: 'import', data, subgraphs, signal }, (urls, env) =>
    runImporters({ subgraphs, source, args: rest, env, urls, signal, data }),
  );
};

/**
 * Runs the importers of a source one after the other, each as a process with this console. Returns 0, or the
 * exit code of the first importer that failed; those after it are not run. Waits for other imports in the
 * same data folder to end, because what one importer hands over to the next must come from one run.
 */
export const runImporters = async (options: {
  readonly subgraphs: readonly LocalSubgraph[];
  readonly source: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The URLs of the databases, by variable; an importer gets only its own and the event log. */
  readonly urls: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /**
   * The data folder. In its subfolder `imports`, importers leave what they hand over, and the records they
   * refused.
   */
  readonly data: string;
}): Promise<number> => {
  const { subgraphs, source, args, env, urls, signal, data } = options;
  const shared = join(data, 'imports');
  await mkdir(shared, { recursive: true });
  const release = await takeTurn(join(shared, 'import.lock'), signal);
  if (!release) return 1;
  try {
    // It may come from another run.
    await rm(join(shared, handoverFile), { force: true });
    for (const subgraph of subgraphs) {
      const importer = join(subgraph.folder, 'dist', 'import', `${source}.js`);
      if (!(await isImporter(importer))) continue;
      if (signal.aborted) return 1;
      const variables = { ...env, ...databasesOf(subgraph, urls), IMPORT_FOLDER: shared };
      const code = await runScript(importer, args, variables, signal);
      if (code !== 0) return code;
    }
    return 0;
  } finally {
    release();
  }
};

/**
 * Waits until no other run has the lock; returns the function that releases it, or undefined after an abort.
 */
const takeTurn = async (lock: string, signal: AbortSignal): Promise<(() => void) | undefined> => {
  try {
    const onWait = ({ pid }: { pid: number }) => say(`process ${pid} is importing; waiting until it ends`);
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

/** Whether a file is an importer and not one that importers share: an importer calls `runImport` itself. */
const isImporter = async (path: string): Promise<boolean> =>
  path.endsWith('.js') && /\brunImport\(/.test(await readFile(path, 'utf8').catch(() => ''));
