import { setTimeout as pause } from 'node:timers/promises';
import { reasonOf } from '@cinegraph/service/terminal';

/** A subgraph whose sources are watched. */
export interface WatchedSubgraph {
  readonly name: string;
  /** Returns a text that differs after each change of its sources. */
  readonly state: () => string;
  readonly restart: () => Promise<void>;
}

/**
 * After each change of a subgraph's sources it calls, in this order: `build`, `restart` of each changed
 * subgraph, and `recompose`, so that the gateway asks for a new field only when its subgraph has it. A change
 * counts when two looks in a row agree, because files may still be in writing. What fails is passed to
 * `report`, and the next change begins again. It returns when `signal` is aborted.
 */
export const watchSubgraphs = async (options: {
  readonly subgraphs: readonly WatchedSubgraph[];
  readonly build: () => Promise<void>;
  readonly recompose: () => Promise<void>;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
}): Promise<void> => {
  const { subgraphs, build, recompose, report, signal, pollMs = 300 } = options;
  const look = () => subgraphs.map(({ state }) => state());
  let done = look();
  let seen = done;
  const isEnded = () => signal.aborted;
  while (!isEnded()) {
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
    const states = look();
    const changed = subgraphs.filter((_subgraph, at) => states[at] !== done[at]);
    const isSettled = states.every((state, at) => state === seen[at]);
    seen = states;
    if (changed.length === 0 || !isSettled || isEnded()) continue;
    done = states;
    report(`${changed.map(({ name }) => name).join(', ')} changed`);
    try {
      await build();
      for (const { name, restart } of changed) {
        await restart();
        report(`${name} runs with the change`);
      }
      await recompose();
    } catch (error) {
      if (!isEnded()) report(`The change is not in effect: ${reasonOf(error)}`);
    }
  }
};
