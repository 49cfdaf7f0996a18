import { takeOrCopy } from './copy.js';
import { createEntityFlights } from './entity-flights.js';
import { hasTimeFor, joinFlight, startFlight, type Flight } from './flights.js';
import { scopeOf, type Asker, type Fetch, type FetchResult, type SubgraphRequest } from './request.js';

/** Fetches from one subgraph that share requests. */
export interface SharedFetches {
  /** For queries only. */
  readonly fetch: Fetch;
  /** Lets later fetches share no request that is under way. Call it when a mutation has ended. */
  readonly forget: () => void;
}

/**
 * Lets concurrent fetches from one subgraph share the requests that `send` sends.
 *
 * - Identical fetches in flight share one request.
 * - Fetches of entities with the same document and variables ask only for those that are not in flight, and
 *   are merged into one request if they start in the same tick.
 *
 * Only fetches with the same viewer and the same forwarded headers share anything; askers must have no others
 * than the subgraph receives. The names of their operations may differ. Each waiter ends at its own deadline;
 * the request ends when all have. The first waiter gets the result, each other one a copy, because the
 * executor changes what it gets.
 */
export const shareFetches = (send: Fetch): SharedFetches => {
  const flights = new Map<string, Flight>();
  const entities = createEntityFlights(send);

  const fetchRoot = (key: string, request: SubgraphRequest, asker: Asker): Promise<FetchResult> => {
    let flight = flights.get(key);
    if (!flight || !hasTimeFor(flight, asker.deadline)) {
      const started = startFlight(
        asker,
        (shared) => send(request, shared),
        () => {
          if (flights.get(key) === started) flights.delete(key);
        },
      );
      flights.set(key, started);
      flight = started;
    }
    const { taken } = flight;
    return joinFlight(flight, asker, (result, isShared) =>
      isShared ? { ...result, data: takeOrCopy(result.data, 0, taken), isShared } : result,
    );
  };

  return {
    forget: () => {
      flights.clear();
      entities.forget();
    },
    fetch: (request, asker) => {
      const { query, unnamed = query, variables, representations } = request;
      // No part holds a line break: each of them is JSON text.
      const key = `${scopeOf(asker)}\n${unnamed}\n${variables}`;
      return representations ? entities.fetch(key, request, asker) : fetchRoot(key, request, asker);
    },
  };
};
