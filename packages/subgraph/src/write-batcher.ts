import { isConflict, isTimedOut, isUnavailable } from '@cinegraph/database/store-errors';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import type { Part } from '@cinegraph/service/parts';

/** Collects concurrent commands into batches: one write for many callers, each with an answer of its own. */
export interface WriteBatcher<Command, Answer> {
  /** Resolves with this command's answer, rejects with its refusal or failure. */
  submit(command: Command): Promise<Answer>;
  /** Stopped, it takes nothing new and ends when what waits is written. */
  readonly part: Part;
}

interface Waiting<Command, Answer> {
  readonly command: Command;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** How often a batch that lost a deadlock or serialization conflict is tried again as it is. */
const maxConflictRetries = 5;

/** How many parts of a batch that was cut off are written at the same time. */
const lanesAtOnce = 4;

/**
 * Batches without a timer: what arrives while a batch runs forms the next, at most `maxBatch`; two commands of one
 * `identity` never share a batch, and are written in the order they came. `run` writes a batch in one transaction and
 * answers one outcome a command, in order; an `Error` among them rejects only its own caller. When `run` itself fails
 * because of its content, the batch is split until the culprit stands alone; when something holds up one `lane` of it
 * (a locked row), its lanes are written apart; when the store is away, all of the batch fail. More than `maxWaiting`
 * waiting commands, about two seconds of work, are refused with `OVERLOADED`.
 */
export const createWriteBatcher = <Command, Answer>(options: {
  run: (batch: readonly Command[]) => Promise<readonly (Answer | Error)[]>;
  identity: (command: Command) => string;
  lane: (command: Command) => string;
  maxBatch?: number;
  maxWaiting?: number;
}): WriteBatcher<Command, Answer> => {
  const { run, identity, lane, maxBatch = 500, maxWaiting = 4_000 } = options;
  let waiting: Waiting<Command, Answer>[] = [];
  let running: Promise<void> | undefined;
  let stopped = false;

  const write = async (batch: readonly Waiting<Command, Answer>[]): Promise<void> => {
    let outcomes: readonly (Answer | Error)[];
    try {
      outcomes = await runRetrying(() => run(batch.map(({ command }) => command)));
    } catch (error) {
      await writeParts(batch, error);
      return;
    }
    batch.forEach(({ resolve, reject }, index) => {
      const outcome = outcomes[index];
      if (outcome === undefined) reject(new Error('a batch gave no outcome for a command'));
      else if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    });
  };

  const writeParts = async (batch: readonly Waiting<Command, Answer>[], error: unknown): Promise<void> => {
    const lanes = new Map<string, Waiting<Command, Answer>[]>();
    for (const entry of batch) {
      const id = lane(entry.command);
      const others = lanes.get(id);
      if (others) others.push(entry);
      else lanes.set(id, [entry]);
    }
    if (lanes.size > 1 && isTimedOut(error)) {
      const next = lanes.values();
      await Promise.all(
        Array.from({ length: lanesAtOnce }, async () => {
          for (const part of next) await write(part);
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

  /** Takes the next batch out of what waits; a second command of one identity waits for the next. */
  const takeBatch = (): readonly Waiting<Command, Answer>[] => {
    const taken = new Map<string, Waiting<Command, Answer>>();
    const left: Waiting<Command, Answer>[] = [];
    for (const entry of waiting) {
      const id = identity(entry.command);
      if (taken.size >= maxBatch || taken.has(id)) left.push(entry);
      else taken.set(id, entry);
    }
    waiting = left;
    return [...taken.values()];
  };

  const work = async (): Promise<void> => {
    // All that arrives in this tick belongs to the first batch.
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
      name: 'coalescer',
      start: async () => undefined,
      stop: async () => {
        stopped = true;
        await running;
      },
    },
  };
};

const runRetrying = async <Outcome>(run: () => Promise<Outcome>): Promise<Outcome> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (attempt >= maxConflictRetries || !isConflict(error)) throw error;
    }
  }
};
