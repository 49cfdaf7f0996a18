import { deadlineExceeded } from '../errors.js';
import { AbortableLimit, type TimeLimit } from '../request/context.js';
import { failedFetch, type Asker, type FetchResult } from './request.js';

/** A request under way, and everyone who waits for it. */
export interface Flight {
  readonly limit: AbortableLimit;
  /** The deadline that is sent to the subgraph, which is that of the first waiter. */
  readonly sentDueAtMs: number;
  readonly waiters: Set<(result: FetchResult, isShared: boolean) => void>;
  /** Lets nobody join any more; called when the result is there, or all waiters have left. */
  readonly end: () => void;
  /** Which parts of the result a waiter has, by their positions. */
  readonly taken: boolean[];
}

/** Starts a request that others may join until `end` is called. */
export const startFlight = (
  { viewer, forwarded, deadline: { dueAtMs } }: Asker,
  send: (asker: Asker) => Promise<FetchResult>,
  end: () => void,
): Flight => {
  const limit = new AbortableLimit(dueAtMs);
  const waiters: Flight['waiters'] = new Set();
  void send({ viewer, forwarded, deadline: limit }).then((result) => {
    end();
    const isShared = waiters.size > 1;
    // All of them in one go: the first one changes what it gets as soon as it continues.
    for (const settle of waiters) settle(result, isShared);
  });
  return { limit, sentDueAtMs: dueAtMs, waiters, end, taken: [] };
};

/**
 * Waits for a request under way, until the deadline of the asker. `pick` returns what the asker gets of the
 * result; `isShared` is true if others wait too.
 */
export const joinFlight = (
  { limit, waiters, end }: Flight,
  { deadline }: Asker,
  pick: (result: FetchResult, isShared: boolean) => FetchResult,
): Promise<FetchResult> =>
  new Promise((resolve) => {
    const settle = (result: FetchResult, isShared: boolean): void => {
      deadline.offAbort(leave);
      resolve(pick(result, isShared));
    };
    const leave = (): void => {
      waiters.delete(settle);
      deadline.offAbort(leave);
      resolve(failedFetch(deadlineExceeded()));
      if (waiters.size > 0) return;
      end();
      limit.abort(deadline.aborted ?? 'deadline');
    };
    waiters.add(settle);
    limit.dueAtMs = Math.max(limit.dueAtMs, deadline.dueAtMs);
    deadline.onAbort(leave);
  });

/**
 * Returns true if a fetch may join: the subgraph must have at least half of the time that the fetch itself
 * would give it.
 */
export const hasTimeFor = ({ sentDueAtMs }: Flight, { dueAtMs }: TimeLimit): boolean => {
  const nowMs = performance.now();
  return sentDueAtMs - nowMs >= (dueAtMs - nowMs) / 2;
};

/** Returns a time limit that ends as late as the last of these, and is aborted when all of them are. */
export const limitOfAll = (limits: readonly TimeLimit[]): TimeLimit => {
  const limit = new AbortableLimit(Math.max(...limits.map(({ dueAtMs }) => dueAtMs)));
  const active = limits.filter(({ aborted }) => aborted === undefined);
  let left = active.length;
  if (left === 0) limit.abort(limits[0]?.aborted ?? 'deadline');
  for (const one of active) {
    one.onAbort(() => {
      left -= 1;
      if (left === 0) limit.abort(one.aborted ?? 'deadline');
    });
  }
  return limit;
};
