import { deadlineExceeded } from '../errors.js';
import { createTimeLimit, type AbortableLimit, type TimeLimit } from '../request/context.js';
import { copyOf } from './copy.js';
import { createEntityBatcher } from './entity-batches.js';
import { failedFetch, type Asker, type Fetch, type FetchResult } from './request.js';

/** Fetches from one subgraph that share requests. */
export interface SharedFetches {
  /** For queries only. */
  readonly fetch: Fetch;
  /** Lets later fetches share no request that is under way. Call it when a mutation has ended. */
  readonly forget: () => void;
}

/** A fetch under way, and everyone who waits for it. */
interface Flight {
  readonly limit: AbortableLimit;
  /** The deadline that is sent to the subgraph, which is that of the first waiter. */
  readonly sentDueAtMs: number;
  readonly waiters: Set<(result: FetchResult) => void>;
}

/**
 * Lets concurrent fetches from one subgraph share the requests that `send` sends.
 *
 * - Identical fetches in flight share one request.
 * - Fetches of entities that start in the same tick, with the same document and variables, are merged into one.
 *
 * Only fetches with the same viewer and the same forwarded headers share anything. Each waiter ends at its
 * own deadline; the request ends when all have. The first waiter gets the result, each other one a copy,
 * because the executor changes what it gets.
 */
export const shareFetches = (send: Fetch): SharedFetches => {
  const flights = new Map<string, Flight>();
  const fetchEntities = createEntityBatcher(send);

  const remove = (key: string, flight: Flight): void => {
    if (flights.get(key) === flight) flights.delete(key);
  };

  const join = (key: string, flight: Flight, { deadline }: Asker): Promise<FetchResult> =>
    new Promise((resolve) => {
      const settle = (result: FetchResult): void => {
        deadline.offAbort(leave);
        resolve(result);
      };
      const leave = (): void => {
        flight.waiters.delete(settle);
        settle(failedFetch(deadlineExceeded()));
        if (flight.waiters.size > 0) return;
        remove(key, flight);
        flight.limit.abort(deadline.aborted ?? 'deadline');
      };
      flight.waiters.add(settle);
      flight.limit.dueAtMs = Math.max(flight.limit.dueAtMs, deadline.dueAtMs);
      deadline.onAbort(leave);
    });

  return {
    forget: () => flights.clear(),
    fetch: (request, asker) => {
      const { query, unnamed = query, variables, representations } = request;
      // No part holds a line break: each of them is JSON text.
      const group = `${scopeOf(asker)}\n${unnamed}\n${variables}`;
      const key = representations === undefined ? group : `${group}\n${representations.join()}`;
      const known = flights.get(key);
      if (known && hasTimeFor(known, asker.deadline)) return join(key, known, asker);
      const { viewer, forwarded, deadline } = asker;
      const { dueAtMs } = deadline;
      const flight: Flight = { limit: createTimeLimit(dueAtMs), sentDueAtMs: dueAtMs, waiters: new Set() };
      flights.set(key, flight);
      const joined = join(key, flight, asker);
      const shared = { viewer, forwarded, deadline: flight.limit };
      const sent =
        representations === undefined ? send(request, shared) : fetchEntities(group, request, shared);
      void sent.then((result) => {
        remove(key, flight);
        if (flight.waiters.size === 1) {
          for (const settle of flight.waiters) settle(result);
          return;
        }
        let isFirst = true;
        for (const settle of flight.waiters) {
          settle({ ...result, data: isFirst ? result.data : copyOf(result.data), isShared: true });
          isFirst = false;
        }
      });
      return joined;
    },
  };
};

/**
 * Returns true if a fetch may join: the subgraph must have at least half of the time that the fetch itself
 * would give it.
 */
const hasTimeFor = ({ sentDueAtMs }: Flight, { dueAtMs }: TimeLimit): boolean => {
  const nowMs = performance.now();
  return sentDueAtMs - nowMs >= (dueAtMs - nowMs) / 2;
};

/**
 * Returns what a result may depend on besides the request: the viewer and all forwarded headers. Two fetches
 * share a request only if their scopes are equal.
 */
const scopeOf = ({ viewer, forwarded }: Asker): string => {
  for (const _name in forwarded) return JSON.stringify([viewer, forwarded]);
  return viewer === null ? '' : JSON.stringify(viewer);
};
