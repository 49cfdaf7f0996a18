import { tracing } from '@cinegraph/service/telemetry/tracing';
import type { CacheHint } from '../fetching/cache-hint.js';
import type { FetchResult, SubgraphRequest } from '../fetching/request.js';
import type { RequestContext } from '../request/context.js';
import { copyOf } from '../fetching/copy.js';
import type { FetchStep, Step } from './compile.js';
import { contextOf, nestedObjectsAt } from './contexts.js';
import type { Faults, PathStep } from './faults.js';
import { reportErrors } from './fetch-errors.js';
import { isObject, mergeFetched, type FetchedField } from './merge.js';
import { writeJson } from './numbers.js';
import type { Representation } from './representations.js';
import { applyRewrites } from './rewrites.js';
import { targetsAt, type Target } from './targets.js';
import type { TypeConditions } from './type-conditions.js';

type JsonObject = Record<string, unknown>;

/** What the fetches of one request share. */
export interface Execution {
  readonly context: RequestContext;
  /** The client's variables as they came. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly types: TypeConditions;
  /** The merged data, in internal response names. */
  readonly data: JsonObject;
  /**
   * Whether equal entities share the objects below them. They do not if a field below depends on what is
   * above it (`@fromContext`).
   */
  readonly shares: boolean;
  /** The objects and lists that stand in `data` more than once; undefined if there is none. */
  shared: Set<object> | undefined;
  /** Undefined until a fetch fails or a subgraph returns an error. */
  faults: Faults | undefined;
  /** The strictest hint of all responses; undefined without a fetch. */
  cacheHint: CacheHint | undefined;
  /** What each fetch did, if the client asked for it. */
  readonly reports: FetchReport[] | undefined;
  /** When it began, on the clock of `performance.now()`; 0 without reports. */
  readonly startedAt: number;
  /** The JSON texts of the client's variables that were used. */
  readonly variableTexts: Map<string, string>;
  /** Is called with the id of each signal; undefined without `@defer`. */
  signal: ((id: string) => void) | undefined;
}

/** What one fetch did. Times are in milliseconds, `startMs` since the execution began. */
export interface FetchReport {
  readonly subgraph: string;
  /** Where its objects are in the response, in internal names. */
  readonly path: string;
  readonly startMs: number;
  readonly durationMs: number;
  /** How many objects of the response need it. */
  readonly objects: number;
  /** How many entities it asked for, without duplicates; undefined for a fetch of root fields. */
  readonly entities: number | undefined;
  /** True if another fetch waited for the same response of the subgraph. */
  readonly isShared: boolean;
  readonly failed: boolean;
}

/** Executes a compiled plan, and merges what its fetches bring into `execution.data`. Never rejects. */
export const executeStep = (step: Step, execution: Execution): Promise<void> => {
  switch (step.kind) {
    case 'fetch':
      return step.representation
        ? fetchEntities(step, step.representation, execution)
        : fetchRoot(step, execution);
    case 'sequence':
      return executeInOrder(step.steps, execution);
    case 'parallel':
      return Promise.all(step.steps.map((one) => executeStep(one, execution))).then(nothing);
    case 'signal':
      return Promise.resolve(execution.signal?.(step.id));
  }
};

const nothing = (): void => undefined;
const executeInOrder = async (steps: readonly Step[], execution: Execution): Promise<void> => {
  for (const step of steps) await executeStep(step, execution);
};

const fetchRoot = async (step: FetchStep, execution: Execution): Promise<void> => {
  const targets = targetsAt(execution.data, step.path, execution.shared).map(({ object }) => object);
  if (targets.length === 0) return;
  const variables = variablesOf(step, execution);
  const result = await ask(
    step,
    { kind: step.operation, query: step.query, variables },
    execution,
    targets.length,
  );
  restrict(execution, result.cacheHint);
  const { data } = result;
  if (data && step.outputRewrites) applyRewrites(step.outputRewrites, data, execution.types);
  for (const target of targets) {
    if (data) mergeFetched(target, data, step.fields, execution.types);
    else setNull(target, step.fields);
  }
  if (result.errors.length > 0 || result.failure) {
    reportErrors(
      step,
      result,
      execution,
      (path) => (path.length === 0 ? [] : targets.map((target) => ({ target, path }))),
      targets,
    );
  }
};

const fetchEntities = (
  step: FetchStep,
  representation: Representation,
  execution: Execution,
): Promise<void> => {
  const variables = variablesOf(step, execution);
  if (step.contexts.length === 0) {
    const objects = targetsAt(execution.data, step.path, execution.shared);
    return fetchEntitiesOf({ step, representation, execution, objects, variables });
  }
  // Objects with the same context share a fetch.
  const byContext = new Map<string, Target[]>();
  for (const nested of nestedObjectsAt(execution.data, step.path)) {
    const context = contextOf(nested, step.contexts, execution.types);
    byContext.set(context, [...(byContext.get(context) ?? []), { object: nested.object }]);
  }
  const fetches = [...byContext].map(([context, objects]) =>
    fetchEntitiesOf({
      ...{ step, representation, execution, objects },
      variables: variables === '' ? context : `${variables},${context}`,
    }),
  );
  return Promise.all(fetches).then(nothing);
};

const fetchEntitiesOf = async (options: {
  step: FetchStep;
  representation: Representation;
  execution: Execution;
  objects: readonly Target[];
  variables: string;
}): Promise<void> => {
  const { step, representation, execution, objects, variables } = options;
  const representations: string[] = [];
  /** The objects of each representation, in its order. */
  const targets: JsonObject[][] = [];
  const indexes = new Map<string, number>();
  for (const target of objects) {
    const { object } = target;
    if (execution.faults && inheritFaults(step, object, execution.faults)) continue;
    const text = representation.write(object);
    if (text === null) setNull(object, step.fields);
    if (text === undefined || text === null) continue;
    const index = indexes.get(text);
    const ofEntity = index === undefined ? undefined : targets[index];
    if (!ofEntity) {
      indexes.set(text, representations.length);
      representations.push(text);
      targets.push([object]);
    } else if (!replaceByFirst(target, ofEntity, representation, execution)) ofEntity.push(object);
  }
  if (representations.length === 0) return;
  const { operation, query } = step;
  const request = { kind: operation, query, variables, representations };
  const result = await ask(step, request, execution, objects.length);
  restrict(execution, result.cacheHint);
  const entities = result.data?.['_entities'] as readonly unknown[] | undefined;
  for (let index = 0; index < targets.length; index += 1) {
    const entity = entities?.[index];
    if (step.outputRewrites) applyRewrites(step.outputRewrites, entity, execution.types);
    const ofEntity = targets[index] ?? [];
    if (!isObject(entity)) {
      for (const target of ofEntity) setNull(target, step.fields);
      continue;
    }
    const [first, ...others] = ofEntity;
    if (first) mergeFetched(first, entity, step.fields, execution.types);
    for (const other of others) {
      const source = execution.shares ? entity : copyOf(entity);
      mergeFetched(other, source, step.fields, execution.types);
    }
    if (others.length > 0 && execution.shares) addShared(execution, entity, step.fields);
  }
  if (result.errors.length > 0 || result.failure) {
    reportErrors(
      step,
      result,
      execution,
      ([entitiesField, index, ...path]) =>
        entitiesField === '_entities' && typeof index === 'number'
          ? (targets[index] ?? []).map((target) => ({ target, path }))
          : [],
      targets.flat(),
    );
  }
};

/**
 * Puts the first object of an entity where another one of it is, if both have nothing but the same
 * representation: what is fetched for the entity is then merged, searched and written once.
 */
const replaceByFirst = (
  { object, container, key }: Target,
  [first]: readonly JsonObject[],
  { memberCount }: Representation,
  execution: Execution,
): boolean => {
  if (!first || !container || key === undefined || memberCount === undefined || !execution.shares)
    return false;
  if (Object.keys(object).length !== memberCount || Object.keys(first).length !== memberCount) return false;
  (container as Record<PathStep, unknown>)[key] = first;
  (execution.shared ??= new Set()).add(first);
  return true;
};

/** Remembers the objects and lists of an entity that stand in the merged data more than once. */
const addShared = (execution: Execution, entity: JsonObject, fields: readonly FetchedField[]): void => {
  for (const { name, fields: below } of fields) {
    const value = below && entity[name];
    if (typeof value === 'object' && value !== null) (execution.shared ??= new Set()).add(value);
  }
};

/** Asks the subgraph of a fetch, and reports it if the client asked for reports. */
const ask = async (
  { client, subgraph, path }: FetchStep,
  request: SubgraphRequest,
  { context, reports, startedAt }: Execution,
  objects: number,
): Promise<FetchResult> => {
  const traced = tracing();
  const sentAt = reports ? performance.now() : 0;
  const fetch = () => client.fetch(request, context);
  const fetching = traced ? traced.inSpan('gateway.fetch', { service: subgraph }, fetch) : fetch();
  if (!reports) return fetching;
  const result = await fetching;
  reports.push({
    subgraph,
    path: path.join('.'),
    startMs: rounded(sentAt - startedAt),
    durationMs: rounded(performance.now() - sentAt),
    objects,
    entities: request.representations?.length,
    isShared: result.isShared === true,
    failed: result.failure !== undefined,
  });
  return result;
};

const rounded = (milliseconds: number): number => Math.round(milliseconds * 100) / 100;

/**
 * Returns true if the object lacks a required field because of an error. The fields of the fetch are then
 * null for the same reason, and the subgraph is not asked: it would take the null for a value.
 */
const inheritFaults = (step: FetchStep, target: JsonObject, faults: Faults): boolean => {
  const causes = step.required.flatMap((name) =>
    target[name] === null ? faults.at(target, name).map(({ error }) => error) : [],
  );
  if (causes.length === 0) return false;
  setNull(target, step.fields);
  for (const { name } of step.fields) {
    if (target[name] === null) for (const error of causes) faults.add(target, name, error);
  }
  return true;
};

/** Sets the fields of a fetch that brought nothing for an object. */
const setNull = (target: JsonObject, fields: readonly FetchedField[]): void => {
  for (const { name, isOnlyHere } of fields) {
    if (name !== '__typename' && (isOnlyHere || target[name] === undefined)) target[name] = null;
  }
};

const variablesOf = ({ variables }: FetchStep, execution: Execution): string => {
  let text = '';
  for (const { name, prefix } of variables) {
    if (!Object.hasOwn(execution.variables, name) || execution.variables[name] === undefined) continue;
    let value = execution.variableTexts.get(name);
    if (value === undefined) {
      value = writeJson(execution.variables[name]);
      execution.variableTexts.set(name, value);
    }
    text += text === '' ? prefix + value : `,${prefix}${value}`;
  }
  return text;
};

const restrict = (execution: Execution, { maxAge, scope }: CacheHint): void => {
  const known = execution.cacheHint;
  execution.cacheHint =
    known === undefined
      ? { maxAge, scope }
      : {
          maxAge: Math.min(known.maxAge, maxAge),
          scope: known.scope === 'PRIVATE' || scope === 'PRIVATE' ? 'PRIVATE' : 'PUBLIC',
        };
};
