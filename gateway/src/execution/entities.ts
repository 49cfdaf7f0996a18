import type { FetchResult } from '../fetching/request.js';
import type { FetchStep } from './compile.js';
import { contextOf, nestedObjectsAt, type NestedObject } from './contexts.js';
import { ask, report, setNull, variablesOf, type Execution } from './execution.js';
import type { Faults, PathStep, ResponseError } from './faults.js';
import { reportErrors } from './fetch-errors.js';
import { knownEntitiesOf, rememberProvided, type KnownEntities } from './known-entities.js';
import { copyFetched, isObject, mergeFetched, type FetchedField } from './merge.js';
import type { Representation } from './representations.js';
import { applyRewrites } from './rewrites.js';
import { visitTargets, type VisitTarget } from './targets.js';
import { copyOf } from '../fetching/copy.js';

type JsonObject = Record<string, unknown>;

/** A fetch of entities, for the objects of one context. */
interface EntityFetch {
  readonly step: FetchStep;
  readonly representation: Representation;
  readonly execution: Execution;
  readonly variables: string;
}

/** An entity that a fetch is about. */
interface RequestedEntity {
  /** Its representation as JSON text. */
  readonly text: string;
  /** Its objects in the merged data. */
  readonly objects: JsonObject[];
  /** Whether the first of them has nothing but the representation. */
  readonly isBare: boolean;
}

/**
 * Fetches the entities of a step, and merges them into their objects. Equal objects ask for one entity, and
 * an entity that another fetch of the same request brought is not asked for. Never rejects.
 */
export const fetchEntities = async (
  step: FetchStep,
  representation: Representation,
  execution: Execution,
): Promise<void> => {
  const variables = variablesOf(step, execution);
  const { data, shared } = execution;
  if (step.contexts.length === 0) {
    const found = step.search === undefined ? undefined : execution.searches?.get(step.search);
    await fetchAt({ step, representation, execution, variables }, (visit) => {
      if (found) found.forEach((object) => visit(object));
      else visitTargets(data, step.path, shared, visit);
    });
    return;
  }
  // Objects with the same context share a fetch.
  const byContext = new Map<string, NestedObject[]>();
  for (const nested of nestedObjectsAt(data, step.path)) {
    const context = contextOf(nested, step.contexts, execution.types);
    byContext.set(context, [...(byContext.get(context) ?? []), nested]);
  }
  await Promise.all(
    [...byContext].map(([context, objects]) =>
      fetchAt(
        {
          ...{ step, representation, execution },
          variables: variables === '' ? context : `${variables},${context}`,
        },
        (visit) => objects.forEach(({ object }) => visit(object)),
      ),
    ),
  );
};

const fetchAt = async (fetch: EntityFetch, search: (visit: VisitTarget) => void): Promise<void> => {
  const { step, execution } = fetch;
  const { entities, objects } = requestedEntities(fetch, search);
  if (entities.length === 0) return;
  const known = knownEntitiesOf(step.group, execution);
  if (known) await fetchUnknown(fetch, entities, objects, known);
  else await fetchAll(fetch, entities, { objects, known: 0 });
};

/**
 * Finds the entities of the objects that the search visits. An object that has nothing but the representation
 * of an earlier one is replaced by it: what is fetched for the entity is then merged, searched and written
 * once.
 */
const requestedEntities = (
  { step, representation, execution }: EntityFetch,
  search: (visit: VisitTarget) => void,
): { entities: readonly RequestedEntity[]; objects: number } => {
  const { write, memberCount, singleKey } = representation;
  const { faults, shares } = execution;
  const entities: RequestedEntity[] = [];
  /** By type and single key: most objects need no text then. */
  const byKey = new Map<unknown, Map<string, RequestedEntity>>();
  let byText: Map<string, RequestedEntity> | undefined;
  const remaining: JsonObject[] = [];
  let objects = 0;

  const find = (object: JsonObject): RequestedEntity | undefined => {
    const key = singleKey === undefined ? undefined : object[singleKey];
    const ofType = typeof key === 'string' ? byKey.get(object['__typename']) : undefined;
    const known = ofType?.get(key as string);
    if (known) return known;
    const text = write(object);
    if (text === null) setNull(object, step.fields);
    if (text === undefined || text === null) return undefined;
    const same = typeof key === 'string' ? undefined : byText?.get(text);
    if (same) return same;
    const entity = { text, objects: [], isBare: hasMembers(object, memberCount) };
    entities.push(entity);
    if (typeof key !== 'string') (byText ??= new Map<string, RequestedEntity>()).set(text, entity);
    else if (ofType) ofType.set(key, entity);
    else byKey.set(object['__typename'], new Map([[key, entity]]));
    return entity;
  };

  search((object, container, key) => {
    objects += 1;
    remaining.push(object);
    if (faults && inheritFaults(step, object, faults)) return;
    const entity = find(object);
    const first = entity?.objects[0];
    if (!entity || first === object) return;
    const isReplaced =
      first !== undefined && shares && container !== undefined && key !== undefined && entity.isBare;
    if (isReplaced && hasMembers(object, memberCount)) {
      (container as Record<PathStep, unknown>)[key] = first;
      (execution.shared ??= new Set()).add(first);
      remaining.pop();
    } else entity.objects.push(object);
  });
  if (step.search !== undefined) (execution.searches ??= new Map()).set(step.search, remaining);
  return { entities, objects };
};

const hasMembers = (object: JsonObject, count: number | undefined): boolean => {
  if (count === undefined) return false;
  let members = 0;
  // Object.keys would make a list for each object.
  for (const name in object) members += name === '' ? 0 : 1;
  return members === count;
};

/** Fetches those entities that no other fetch of the request brought, or is about to bring. */
const fetchUnknown = async (
  fetch: EntityFetch,
  entities: readonly RequestedEntity[],
  objects: number,
  known: KnownEntities,
): Promise<void> => {
  const missing: RequestedEntity[] = [];
  const awaited: RequestedEntity[] = [];
  const flights = new Set<Promise<void>>();
  for (const entity of entities) {
    const found = known.found.get(entity.text);
    const flight = known.asked.get(entity.text);
    if (found !== undefined) mergeEntity(fetch, entity, copyOfKnown(found, fetch));
    else if (flight) {
      awaited.push(entity);
      flights.add(flight);
    } else missing.push(entity);
  }
  const counts = { objects, known: entities.length - missing.length };
  if (missing.length > 0) {
    const fetching = fetchAll(fetch, missing, counts, known);
    for (const { text } of missing) known.asked.set(text, fetching);
    await fetching;
    for (const { text } of missing) known.asked.delete(text);
  } else if (fetch.execution.reports) {
    const nothing = { ...counts, entities: 0, isShared: false, failed: false };
    report(fetch.step, fetch.execution, performance.now(), nothing);
  }
  if (awaited.length === 0) return;
  await Promise.all(flights);
  const failed = awaited.filter((entity) => {
    const found = known.found.get(entity.text);
    if (found !== undefined) mergeEntity(fetch, entity, copyOfKnown(found, fetch));
    return found === undefined;
  });
  if (failed.length > 0) await fetchAll(fetch, failed, { objects: 0, known: 0 }, known);
};

/**
 * Returns a copy of what the fetch asks for of a known entity. The objects below it belong to another
 * position of the response, and other fetches are for that position only. Without a copy, an entity that
 * stands below itself would be a circle.
 */
const copyOfKnown = (found: JsonObject | null, { step }: EntityFetch): JsonObject | null =>
  found && (copyFetched(found, step.fields) as JsonObject);

/** Fetches the entities, merges them, and remembers them if the subgraph returned no error. */
const fetchAll = async (
  fetch: EntityFetch,
  entities: readonly RequestedEntity[],
  counts: { readonly objects: number; readonly known: number },
  known?: KnownEntities,
): Promise<void> => {
  const { step, execution, variables } = fetch;
  const { operation, query, unnamed, companion } = step;
  const representations = entities.map(({ text }) => text);
  const request = { kind: operation, query, unnamed, variables, representations, companion };
  const result = await ask(step, request, execution, counts);
  const isWhole = result.errors.length === 0 && !result.failure;
  const values = entitiesOf(result);
  entities.forEach((entity, index) => {
    const value = values?.[index];
    if (step.outputRewrites) applyRewrites(step.outputRewrites, value, execution.types);
    const found = isObject(value) ? value : null;
    mergeEntity(fetch, entity, found);
    if (isWhole) known?.found.set(entity.text, found);
  });
  if (isWhole) {
    for (const { objects } of entities)
      for (const object of objects) rememberProvided(step, object, execution);
  } else reportEntityErrors(step, result, execution, entities);
};

const entitiesOf = ({ data }: FetchResult) => data?.['_entities'] as readonly unknown[] | undefined;

/** Merges an entity into its objects; null if the subgraph has none. */
const mergeEntity = (
  { step, execution }: EntityFetch,
  { objects }: RequestedEntity,
  entity: JsonObject | null,
): void => {
  const { types, shares } = execution;
  for (let index = 0; index < objects.length; index += 1) {
    const object = objects[index];
    if (!object) continue;
    if (!entity) setNull(object, step.fields);
    else mergeFetched(object, index === 0 || shares ? entity : copyOf(entity), step.fields, types);
  }
  if (entity && shares && objects.length > 1) addShared(execution, entity, step.fields);
};

/** Remembers the objects and lists of an entity that stand in the merged data more than once. */
const addShared = (execution: Execution, entity: JsonObject, fields: readonly FetchedField[]): void => {
  for (const { name, fields: below } of fields) {
    const value = below && entity[name];
    if (typeof value === 'object' && value !== null) (execution.shared ??= new Set()).add(value);
  }
};

const reportEntityErrors = (
  step: FetchStep,
  result: FetchResult,
  execution: Execution,
  entities: readonly RequestedEntity[],
): void => {
  const values = entitiesOf(result);
  reportErrors(
    step,
    result,
    execution,
    ([entitiesField, index, ...path]) => {
      if (entitiesField !== '_entities' || typeof index !== 'number') return [];
      const isNull = !isObject(values?.[index]);
      return (entities[index]?.objects ?? []).map((target) => ({ target, path, isNull }));
    },
    entities.flatMap(({ objects }) => objects),
  );
};

/**
 * Returns true if the object lacks a required field because of an error. The fields of the fetch are then
 * null for the same reason, and the subgraph is not asked: it would take the null for a value.
 */
const inheritFaults = (step: FetchStep, target: JsonObject, faults: Faults): boolean => {
  const causes = step.required.flatMap((name) =>
    target[name] === null ? causesOf(faults, target, name) : [],
  );
  if (causes.length === 0) return false;
  setNull(target, step.fields);
  for (const { name } of step.fields) {
    if (target[name] === null) for (const error of causes) faults.add(target, name, error);
  }
  return true;
};

const causesOf = (faults: Faults, target: JsonObject, name: string): readonly ResponseError[] =>
  [...faults.at(target, name), ...faults.beside(target, name)].map(({ error }) => error);
