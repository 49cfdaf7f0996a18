import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isTimedOut, isUnavailable } from '@cinegraph/database/store-errors';
import type { Part } from '@cinegraph/service/parts';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** Collects concurrent commands into batches: one write for many callers, and an outcome for each of them. */
export interface WriteBatcher<Command, Answer> {
  /** Resolves with the answer of this command. Rejects with its refusal or failure. */
  submit(command: Command): Promise<Answer>;
  /** Its stop refuses new commands, and ends when all waiting commands are written. */
  readonly part: Part;
}

interface Waiting<Command, Answer> {
  readonly command: Command;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** How often a batch runs at most if it keeps losing deadlocks or serialization conflicts. */
const maxAttempts = 6;

/** How many conflict groups of a timed-out batch are written at the same time. */
const groupsAtOnce = 4;

/**
 * Creates a batcher without a timer: commands that arrive while a batch runs form the next one, of at most
 * `maxBatch`. Commands with the same `commandKey` never share a batch, and are written in the order in which
 * they came.
 *
 * `run` writes a batch in one transaction and returns one outcome for each command, in order; an `Error`
 * among them rejects only its own caller. If `run` itself fails:
 * - after a deadlock or serialization conflict the batch runs again, at most six times in all;
 * - after a time-out, as of a locked row, the commands of each `conflictGroup` are written on their own;
 * - if the store is unavailable, or one conflict group alone timed out, the whole batch fails;
 * - after any other error the batch is halved, until the command that causes it is alone.
 *
 * While `maxWaiting` commands wait, about two seconds of work, further ones are refused with `OVERLOADED`.
 */
export const createWriteBatcher = <Command, Answer>(options: {
  run: (batch: readonly Command[]) => Promise<readonly (Answer | Error)[]>;
  commandKey: (command: Command) => string;
  conflictGroup: (command: Command) => string;
  maxBatch?: number;
  maxWaiting?: number;
}): WriteBatcher<Command, Answer> => {
  const { run, commandKey, conflictGroup, maxBatch = 500, maxWaiting = 4_000 } = options;
  let waiting: Waiting<Command, Answer>[] = [];
  let running: Promise<void> | undefined;
  let stopped = false;

  const write = async (batch: readonly Waiting<Command, Answer>[]): Promise<void> => {
    let outcomes: readonly (Answer | Error)[];
    try {
      outcomes = await retryOnConflict(() => run(batch.map(({ command }) => command)), {
        attempts: maxAttempts,
      });
    } catch (error) {
      await writeInParts(batch, error);
      return;
    }
    batch.forEach(({ resolve, reject }, index) => {
      const outcome = outcomes[index];
      if (outcome === undefined) reject(new Error('a batch gave no outcome for a command'));
      else if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    });
  };

  const writeInParts = async (batch: readonly Waiting<Command, Answer>[], error: unknown): Promise<void> => {
    const groups = groupBy(batch, ({ command }) => conflictGroup(command));
    if (groups.size > 1 && isTimedOut(error)) {
      const next = groups.values();
      await Promise.all(
        Array.from({ length: groupsAtOnce }, async () => {
          for (const group of next) await write(group);
        }),
      );
      return;
    }
    if (batch.length > 1 && !isUnavailable(error)) {
      const half = batch.length >> 1;
      await write(batch.slice(0, half));
      await write(batch.slice(half));
      return;
    }
    for (const { reject } of batch) reject(error);
  };

  /** Removes the next batch from the waiting commands; a second command of the same key keeps waiting. */
  const takeBatch = (): readonly Waiting<Command, Answer>[] => {
    const taken = new Map<string, Waiting<Command, Answer>>();
    const left: Waiting<Command, Answer>[] = [];
    for (const entry of waiting) {
      const key = commandKey(entry.command);
      if (taken.size >= maxBatch || taken.has(key)) left.push(entry);
      else taken.set(key, entry);
    }
    waiting = left;
    return [...taken.values()];
  };

  const work = async (): Promise<void> => {
    // All commands that arrive in this tick belong to the first batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await write(takeBatch());
    running = undefined;
  };

  return {
    submit: (command) =>
      new Promise<Answer>((resolve, reject) => {
        if (stopped || waiting.length >= maxWaiting) {
          reject(
            new Refusal(
              refusalCode.overloaded,
              'More is being written than can be taken in. Try again later.',
            ),
          );
          return;
        }
        waiting.push({ command, resolve, reject });
        running ??= work();
      }),
    part: {
      name: 'write batcher',
      start: async () => undefined,
      stop: async () => {
        stopped = true;
        await running;
      },
    },
  };
};

const groupBy = <Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> => {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
};
