import { StartError } from '@cinegraph/service/start-error';
import { setTimeout as pause } from 'node:timers/promises';
import type { SubgraphEntry, SupergraphYaml } from '../supergraph-yaml.js';

/**
 * Calls `recompose` at once and after each change of what `read` answers, with words that say what changed, until
 * `signal` is aborted. Contents are compared, not times or events, so that it sees a file that an editor replaced, that
 * appeared, or that lies on a mounted disk; a content that is still being written is left until it stays the same for
 * one look. A StartError of either is handed to `refuse`, and the watch goes on.
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

/** What the files say at one moment: a list, or in `state` the reason why there is none. */
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
