import { Kind, type FragmentDefinitionNode, type SelectionSetNode } from 'graphql';
import { NumberText } from './numbers.js';
import type { TypeConditions } from './type-conditions.js';

type JsonObject = Record<string, unknown>;

/** A response name that a fetch asked for, and those below it. */
export interface FetchedField {
  readonly name: string;
  /** Undefined for a leaf. */
  readonly fields: readonly FetchedField[] | undefined;
  /** True if no other fetch of the plan asks for it, so that whatever else has its name was not asked for. */
  isOnlyHere: boolean;
}

/** Returns the response names of a selection set; those of all its type conditions together. */
export const fetchedFields = (
  sets: readonly SelectionSetNode[],
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): FetchedField[] => {
  const found = new Map<string, SelectionSetNode[] | undefined>();
  const visit = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const name = selection.alias?.value ?? selection.name.value;
        const known = found.get(name) ?? [];
        found.set(name, selection.selectionSet ? [...known, selection.selectionSet] : undefined);
      } else {
        const set =
          selection.kind === Kind.INLINE_FRAGMENT
            ? selection.selectionSet
            : fragments.get(selection.name.value)?.selectionSet;
        if (set) visit(set);
      }
    }
  };
  sets.forEach(visit);
  return [...found].map(([name, below]) => ({
    name,
    fields: below && fetchedFields(below, fragments),
    isOnlyHere: false,
  }));
};

/** Finds the fields that only one fetch of a plan asks for. */
export const markFieldsOfOneFetch = (
  fetches: readonly {
    readonly path: readonly (string | number)[];
    readonly fields: readonly FetchedField[];
  }[],
): void => {
  const known = new Map<string, FetchedField | undefined>();
  const visit = (path: string, fields: readonly FetchedField[]): void => {
    for (const field of fields) {
      const key = `${path}.${field.name}`;
      known.set(key, known.has(key) ? undefined : field);
      if (field.fields) visit(key, field.fields);
    }
  };
  for (const { path, fields } of fetches)
    visit(path.map((step) => (step === '@' ? '' : `.${step}`)).join(''), fields);
  for (const field of known.values()) if (field) field.isOnlyHere = true;
};

/**
 * Merges what a fetch asked for from its response into an object. What it did not ask for has no effect: an
 * object is taken with all its members, and those that were not asked for are replaced by the fetch that asks
 * for them. Null replaces no value of another fetch, and the name of an interface object's type does not
 * replace that of the object.
 */
export const mergeFetched = (
  target: JsonObject,
  source: JsonObject,
  fields: readonly FetchedField[],
  types: TypeConditions,
): void => {
  for (const { name, fields: below, isOnlyHere } of fields) {
    const value = source[name];
    const known = target[name];
    if (value === undefined) {
      if (isOnlyHere && known !== undefined) target[name] = undefined;
    } else if (isOnlyHere || known === undefined || known === null) target[name] = value;
    else if (value === null || value === known) continue;
    else if (below) mergeValue(known, value, below, types);
    else if (name !== '__typename' || !types.isObjectType(known)) target[name] = value;
  }
};

const mergeValue = (
  known: unknown,
  value: unknown,
  fields: readonly FetchedField[],
  types: TypeConditions,
): void => {
  if (isList(known)) {
    if (!isList(value)) return;
    for (let index = 0; index < known.length && index < value.length; index += 1) {
      if (known[index] === null) known[index] = value[index];
      else mergeValue(known[index], value[index], fields, types);
    }
  } else if (isObject(known) && isObject(value)) mergeFetched(known, value, fields, types);
};

/** Returns a copy of those parts of a value that a fetch asked for. `fields` is undefined for a leaf. */
export const copyFetched = (value: unknown, fields: readonly FetchedField[] | undefined): unknown => {
  if (!fields) return value;
  if (isList(value)) return value.map((item) => copyFetched(item, fields));
  if (!isObject(value)) return value;
  const copy: JsonObject = {};
  for (const { name, fields: below } of fields) {
    if (value[name] !== undefined) copy[name] = copyFetched(value[name], below);
  }
  return copy;
};

const isList = (value: unknown): value is unknown[] => Array.isArray(value);

/** Returns true for a JSON object. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
