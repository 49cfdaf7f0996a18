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

/** The flights of fetches that may share entities. */
interface Group {
  readonly flights: Set<EntityFlight>;
  /** The flight of each representation; undefined until two fetches could share one. */
  byText: Map<string, EntityFlight> | undefined;
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
  const groups = new Map<string, Group>();
  const fetchBatched = createEntityBatcher(send);

  // Hot: most fetches share nothing, and must not pay for what others could share (bench gateway).
  const start = (key: string, request: SubgraphRequest, asker: Asker): EntityFlight => {
    const { representations: texts = [] } = request;
    const group = groups.get(key) ?? { flights: new Set(), byText: undefined };
    groups.set(key, group);
    const end = (): void => {
      group.flights.delete(flight);
      if (group.flights.size === 0 && groups.get(key) === group) groups.delete(key);
      else if (group.byText) {
        for (const text of texts) if (group.byText.get(text) === flight) group.byText.delete(text);
      }
    };
    const started = startFlight(asker, (shared) => fetchBatched(key, request, shared), end);
    const flight = { ...started, texts, positions: undefined };
    group.flights.add(flight);
    if (group.byText) for (const text of texts) group.byText.set(text, flight);
    return flight;
  };

  const joinWhole = (flight: EntityFlight, asker: Asker): Promise<FetchResult> =>
    joinFlight(flight, asker, (result, isShared) =>
      isShared ? { ...pickEntities(result, undefined, flight.taken), isShared } : result,
    );

  return {
    forget: () => groups.clear(),
    fetch: async (key, request, asker) => {
      const { representations = [] } = request;
      const group = groups.get(key);
      if (!group) return joinWhole(start(key, request, asker), asker);
      const byText = (group.byText ??= flightsByText(group.flights));
      const same = byText.get(representations[0] ?? '');
      if (same && hasSameTexts(same, representations) && hasTimeFor(same, asker.deadline))
        return joinWhole(same, asker);
      const { parts, missing } = findParts(representations, byText, asker.deadline);
      if (parts.length === 0) return joinWhole(start(key, request, asker), asker);
      if (missing.length > 0) {
        const texts = missing.map((index) => representations[index] ?? '');
        const flight = start(key, { ...request, representations: texts }, asker);
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

const flightsByText = (flights: ReadonlySet<EntityFlight>): Map<string, EntityFlight> => {
  const byText = new Map<string, EntityFlight>();
  for (const flight of flights) for (const text of flight.texts) byText.set(text, flight);
  return byText;
};

const hasSameTexts = ({ texts }: EntityFlight, others: readonly string[]): boolean =>
  texts.length === others.length && texts.every((text, position) => text === others[position]);

/** Finds the flights that have representations and time for them. Returns the indexes of the other ones. */
const findParts = (
  representations: readonly string[],
  byText: ReadonlyMap<string, EntityFlight>,
  deadline: TimeLimit,
): { parts: Part[]; missing: number[] } => {
  const parts = new Map<EntityFlight, Part>();
  const missing: number[] = [];
  representations.forEach((text, index) => {
    const flight = byText.get(text);
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
