import { StartError } from '@cinegraph/service/start-error';
import { setTimeout as pause } from 'node:timers/promises';
import type { SubgraphEntry, SupergraphYaml } from '../supergraph-yaml.js';

/**
 * Calls `recompose` immediately, and after each change of what `read` returns, with a text that says what
 * changed, until `signal` is aborted. It compares contents and not times or events, so it notices a file that
 * an editor replaced, a new file, and a file on a mounted disk. A change counts only when two reads in a row
 * agree, because the file may still be in writing. A StartError of `read` or `recompose` is passed to
 * `refuse`, and the watch continues.
 */
export const watchSchemas = async (options: {
  read: () => SupergraphYaml;
  recompose: (list: SupergraphYaml, what: string) => Promise<void>;
  refuse: (reason: string, what: string) => void;
  signal: AbortSignal;
  pollMs?: number;
}): Promise<void> => {
  const { read, recompose, refuse, signal, pollMs = 150 } = options;
  let done: Look | undefined;
  let seen: Look | undefined;
  while (!signal.aborted) {
    const look = lookAt(read);
    if (look.state !== done?.state && (done === undefined || look.state === seen?.state)) {
      const what = whatChanged(done?.list, look.list);
      done = look.list ? look : { ...look, list: done?.list };
      try {
        if (look.list) await recompose(look.list, what);
        else refuse(look.state, what);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        refuse(error.message, what);
      }
    }
    seen = look;
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
  }
};

/** One reading of the files: the list, or in `state` the reason why it cannot be read. */
interface Look {
  readonly state: string;
  readonly list: SupergraphYaml | undefined;
}

const lookAt = (read: () => SupergraphYaml): Look => {
  try {
    const list = read();
    return { state: JSON.stringify(list), list };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return { state: error.message, list: undefined };
  }
};

const whatChanged = (before: SupergraphYaml | undefined, after: SupergraphYaml | undefined): string => {
  if (!before || !after) return after ? 'start' : 'the list';
  const textOf = ({ subgraphs }: SupergraphYaml, name: string): string | undefined => {
    const found: SubgraphEntry | undefined = subgraphs.find((entry) => entry.name === name);
    return found && JSON.stringify(found);
  };
  const names = new Set([...before.subgraphs, ...after.subgraphs].map(({ name }) => name));
  const changed = [...names].flatMap((name) => {
    const [was, is] = [textOf(before, name), textOf(after, name)];
    if (was === is) return [];
    return [`${name} ${was === undefined ? 'added' : is === undefined ? 'removed' : 'changed'}`];
  });
  return changed.length > 0 ? changed.join(', ') : 'the list changed';
};
