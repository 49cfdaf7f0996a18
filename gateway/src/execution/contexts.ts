import type { FetchDataKeyRenamer } from '@apollo/query-planner';
import { writeJson } from './numbers.js';
import type { TypeConditions } from './type-conditions.js';

type JsonObject = Record<string, unknown>;

/** A variable of a fetch whose value is a field of an object above the entity, as `@fromContext` says. */
export interface ContextVariable {
  /** The variable as a JSON name, with its colon. */
  readonly prefix: string;
  /** How many objects above the entity the value is; lists do not count. */
  readonly levels: number;
  /** Type conditions, each with `... on ` before it, and field names. */
  readonly path: readonly string[];
}

/** An object of the merged data, and those that it is in, the nearest last. */
export interface NestedObject {
  readonly object: JsonObject;
  readonly parents: readonly JsonObject[];
}

const fragmentPrefix = '... on ';

/** Compiles the planner's context rewrites of a fetch. */
export const compileContexts = (rewrites: readonly FetchDataKeyRenamer[]): ContextVariable[] =>
  rewrites.map(({ path, renameKeyTo }) => {
    const levels = path.findIndex((step) => step !== '..');
    return { prefix: `${JSON.stringify(renameKeyTo)}:`, levels, path: path.slice(levels) };
  });

/**
 * Returns the context variables of an object as JSON members. Several rewrites may set the same variable, one
 * for each type that has the context; null if none of them applies.
 */
export const contextOf = (
  { object, parents }: NestedObject,
  contexts: readonly ContextVariable[],
  types: TypeConditions,
): string => {
  const values = new Map<string, unknown>();
  for (const { prefix, levels, path } of contexts) {
    const start = levels === 0 ? object : parents[parents.length - levels];
    const value = valueAt(start, path, types);
    if (value !== undefined || !values.has(prefix)) values.set(prefix, value);
  }
  return [...values].map(([prefix, value]) => prefix + writeJson(value ?? null)).join();
};

/** Returns undefined if the object is of another type. */
const valueAt = (start: JsonObject | undefined, path: readonly string[], types: TypeConditions): unknown => {
  let value: unknown = start;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    const object = value as JsonObject;
    if (step.startsWith(fragmentPrefix)) {
      const typename = object['__typename'];
      const isOfType = typename === undefined || types.matches(typename, step.slice(fragmentPrefix.length));
      if (!isOfType) return undefined;
    } else value = Object.hasOwn(object, step) ? object[step] : undefined;
  }
  return value;
};

/** Returns the objects at a path of the merged data, with those that they are in; nulls are left out. */
export const nestedObjectsAt = (data: JsonObject, path: readonly (string | number)[]): NestedObject[] => {
  const found: NestedObject[] = [];
  const visit = (value: unknown, depth: number, parents: readonly JsonObject[]): void => {
    if (typeof value !== 'object' || value === null) return;
    const step = path[depth];
    if (Array.isArray(value)) {
      for (const item of value) visit(item, step === '@' ? depth + 1 : depth, parents);
      return;
    }
    const object = value as JsonObject;
    if (step === undefined) found.push({ object, parents });
    else if (step !== '@') visit(object[step], depth + 1, [...parents, object]);
  };
  visit(data, 0, []);
  return found;
};
