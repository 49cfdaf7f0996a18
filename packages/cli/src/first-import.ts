import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Databases } from './databases.js';
import { say } from './console.js';
import type { LocalSubgraph } from './graph.js';
import { defaultSource, runImporters } from './import.js';

/** How far the first import of each subgraph has come, for the data with this identity. */
interface Progress {
  readonly identity: string;
  readonly states: Readonly<Record<string, 'begun' | 'done'>>;
}

/**
 * Fills the databases with the default source where they are empty, one subgraph after the other. One that was done in
 * our own data is not asked again; one that was begun and not finished, because the process was killed, is done again as
 * a whole. An import that fails is said, and does not keep the graph from starting.
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
  const identity = databases.embedded?.identity ?? '';
  let progress = await readProgress(path, identity);
  const isOurs = (name: string) => databases.embedded?.names.includes(name) === true;
  const keep = async (name: string, state: 'begun' | 'done') => {
    if (!isOurs(name)) return;
    progress = { identity, states: { ...progress.states, [name]: state } };
    await writeFile(path, `${JSON.stringify(progress)}\n`);
  };
  for (const subgraph of subgraphs) {
    // A database of the person's own may be another one, or empty again, at each start.
    const state = isOurs(subgraph.name) ? progress.states[subgraph.name] : undefined;
    if (state === 'done' || signal.aborted) continue;
    // The importer looks whether there are rows; of an import that was cut off there are some.
    const args = state === 'begun' ? [] : ['--if-empty'];
    await keep(subgraph.name, 'begun');
    const code = await runImporters({
      ...{ subgraphs: [subgraph], source: defaultSource, args, env, signal, data },
      urls: databases.urls,
    });
    if (code === 0) await keep(subgraph.name, 'done');
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- it may have been aborted meanwhile
    else if (!signal.aborted) {
      say(
        `${subgraph.name}: the ${defaultSource} could not be imported (why is told above); the graph starts without it.`,
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
    // Not there, or half written: the importers look for themselves.
    return none;
  }
};
