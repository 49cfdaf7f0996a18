import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { say } from '@cinegraph/service/terminal';
import type { Databases } from '../databases.js';
import type { LocalSubgraph } from '../graph.js';
import { defaultSource, runImporters } from './import.js';

/** The state of the first import of each subgraph, as it is kept in a file. */
interface Progress {
  /** The id of the data for which it holds. */
  readonly identity: string;
  readonly states: Readonly<Record<string, 'begun' | 'done'>>;
}

/**
 * Fills empty databases with the default source, one subgraph after the other. In the embedded PostgreSQL, a
 * finished import is not tried again, and an import that was killed is repeated as a whole. A failed import
 * is reported, and the graph starts all the same.
 */
export const importAtFirstStart = async (options: {
  readonly data: string;
  readonly subgraphs: readonly LocalSubgraph[];
  readonly databases: Databases;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}): Promise<void> => {
  const { data, subgraphs, databases, env, signal } = options;
  const path = join(data, 'first-import.json');
  const identity = databases.embedded?.dataId ?? '';
  let progress = await readProgress(path, identity);
  const isEmbedded = (name: string) => databases.embedded?.names.includes(name) === true;
  const keep = async (name: string, state: 'begun' | 'done') => {
    if (!isEmbedded(name)) return;
    progress = { identity, states: { ...progress.states, [name]: state } };
    await writeFile(path, `${JSON.stringify(progress)}\n`);
  };
  for (const subgraph of subgraphs) {
    // A database on another server may be a different one, or empty again, at each start.
    const state = isEmbedded(subgraph.name) ? progress.states[subgraph.name] : undefined;
    if (state === 'done' || signal.aborted) continue;
    // `--if-empty` skips tables with rows, and an import that was killed may have left some.
    const args = state === 'begun' ? [] : ['--if-empty'];
    await keep(subgraph.name, 'begun');
    const code = await runImporters({
      ...{ subgraphs: [subgraph], source: defaultSource, args, env, signal, data },
      urls: databases.urls,
    });
    if (code === 0) await keep(subgraph.name, 'done');
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- aborted during the import?
    else if (!signal.aborted) {
      say(
        `${subgraph.name}: the ${defaultSource} could not be imported (see the messages above); the graph starts without it.`,
      );
    }
  }
};

const readProgress = async (path: string, identity: string): Promise<Progress> => {
  const none: Progress = { identity, states: {} };
  try {
    const kept = JSON.parse(await readFile(path, 'utf8')) as Partial<Progress> | null;
    if (identity === '' || kept?.identity !== identity) return none;
    return typeof kept.states === 'object' ? { ...none, states: { ...kept.states } } : none;
  } catch {
    // The file is missing or incomplete: the importers check for rows themselves.
    return none;
  }
};
