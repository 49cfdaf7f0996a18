import type { TimeLimit } from '../request/context.js';
import { strictestHint } from './cache-hint.js';
import { createEntityBatcher, pickEntities } from './entity-batches.js';
import { hasTimeFor, joinFlight, startFlight, type Flight } from './flights.js';
import type { Asker, Fetch, FetchResult, SubgraphRequest } from './request.js';

/** Fetches of entities from one subgraph that share what is under way. */
export interface EntityFlights {
  /** Only fetches of the same `group` share anything. */
  fetch(group: string, request: SubgraphRequest, asker: Asker): Promise<FetchResult>;
  /** Lets later fetches share nothing that is under way. */
  forget(): void;
}

/** A request for these representations. */
interface EntityFlight extends Flight {
  readonly texts: readonly string[];
  /** The position of each; undefined until another fetch needs one of them. */
  positions: ReadonlyMap<string, number> | undefined;
}

/** The entities that a fetch takes from a flight: those at `positions`, for its own ones at `indexes`. */
interface Part {
  readonly flight: EntityFlight;
  readonly positions: number[];
  readonly indexes: number[];
}

/**
 * Creates the fetches of entities of one subgraph. A fetch asks only for entities that are not under way, and
 * waits for the flights that have the others; it fails if one of these fails. If one has no entities at all,
 * it is sent alone: the subgraph may have refused what only another fetch asked.
 */
export const createEntityFlights = (send: Fetch): EntityFlights => {
  /** By group, the flight under way for each representation. */
  const groups = new Map<string, Map<string, EntityFlight>>();
  const fetchBatched = createEntityBatcher(send);

  const start = (group: string, request: SubgraphRequest, asker: Asker): EntityFlight => {
    const { representations: texts = [] } = request;
    const known = groups.get(group) ?? new Map<string, EntityFlight>();
    groups.set(group, known);
    const end = (): void => {
      for (const text of texts) if (known.get(text) === flight) known.delete(text);
      if (known.size === 0 && groups.get(group) === known) groups.delete(group);
    };
    const started = startFlight(asker, (shared) => fetchBatched(group, request, shared), end);
    const flight = { ...started, texts, positions: undefined };
    for (const text of texts) known.set(text, flight);
    return flight;
  };

  return {
    forget: () => groups.clear(),
    fetch: async (group, request, asker) => {
      const { representations = [] } = request;
      const known = groups.get(group);
      const { parts, missing } = known ? findParts(representations, known, asker.deadline) : nothing;
      if (parts.length === 0) {
        const flight = start(group, request, asker);
        return joinFlight(flight, asker, (result, isShared) =>
          isShared
            ? { ...pickEntities(result, [...representations.keys()], flight.taken), isShared }
            : result,
        );
      }
      if (missing.length > 0) {
        const texts = missing.map((index) => representations[index] ?? '');
        const flight = start(group, { ...request, representations: texts }, asker);
        parts.push({ flight, positions: [...texts.keys()], indexes: missing });
      }
      const results = await Promise.all(
        parts.map(({ flight, positions }) =>
          joinFlight(flight, asker, (result) => pickEntities(result, positions, flight.taken)),
        ),
      );
      const [first] = results;
      const isWhole = parts.length === 1 && parts[0]?.flight.texts.length === representations.length;
      if (first && (isWhole || (parts.length === 1 && first.data))) return { ...first, isShared: true };
      const failed = results.find(({ failure }) => failure);
      if (failed) return failed;
      if (results.some(({ data }) => !data)) return send(request, asker);
      return combine(representations.length, parts, results);
    },
  };
};

const nothing = { parts: [], missing: [] };

/** Finds the flights that have representations and time for them. Returns the indexes of the other ones. */
const findParts = (
  representations: readonly string[],
  known: ReadonlyMap<string, EntityFlight>,
  deadline: TimeLimit,
): { parts: Part[]; missing: number[] } => {
  const parts = new Map<EntityFlight, Part>();
  const missing: number[] = [];
  representations.forEach((text, index) => {
    const flight = known.get(text);
    const part = flight && (parts.get(flight) ?? partOf(flight, deadline));
    if (!part) {
      missing.push(index);
      return;
    }
    parts.set(part.flight, part);
    part.indexes.push(index);
    part.positions.push(positionsIn(part.flight).get(text) ?? 0);
  });
  return { parts: [...parts.values()], missing };
};

const partOf = (flight: EntityFlight, deadline: TimeLimit): Part | undefined =>
  hasTimeFor(flight, deadline) ? { flight, positions: [], indexes: [] } : undefined;

const positionsIn = (flight: EntityFlight): ReadonlyMap<string, number> =>
  (flight.positions ??= new Map(flight.texts.map((text, position) => [text, position])));

/** Puts the parts of a fetch together, with the errors of each at the indexes that its entities have. */
const combine = (count: number, parts: readonly Part[], results: readonly FetchResult[]): FetchResult => {
  const entities = new Array<unknown>(count);
  parts.forEach(({ indexes }, part) => {
    const values = results[part]?.data?.['_entities'] as readonly unknown[];
    indexes.forEach((index, position) => (entities[index] = values[position]));
  });
  const errors = results.flatMap((result, part) =>
    result.errors.map((error) => {
      const [root, position, ...rest] = error.path ?? [];
      const index = parts[part]?.indexes[Number(position)];
      return root === undefined || index === undefined ? error : { ...error, path: [root, index, ...rest] };
    }),
  );
  const returned: Record<string, string> = {};
  for (const result of results) Object.assign(returned, { ...result.returned, ...returned });
  return {
    ...{ data: { _entities: entities }, failure: undefined, isShared: true, returned },
    // Parts of one merged request have the same errors without a path.
    errors: [...errors.filter(({ path }) => path), ...new Set(errors.filter(({ path }) => !path))],
    cacheHint: results.map((result) => result.cacheHint).reduce(strictestHint),
  };
};
