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
  /**
   * Names that this fetch does not ask for in the objects of this field, and several others do. Undefined if
   * there is none here or below.
   */
  unasked: readonly string[] | undefined;
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
    unasked: undefined,
  }));
};

/** Compares what the fetches of a plan ask for, and notes it in their fields. */
export const compareFetches = (
  fetches: readonly {
    readonly path: readonly (string | number)[];
    readonly fields: readonly FetchedField[];
  }[],
): void => {
  const byPath = new Map<string, Map<string, number>>();
  const count = (path: string, fields: readonly FetchedField[]): void => {
    const counts = byPath.get(path) ?? new Map<string, number>();
    byPath.set(path, counts);
    for (const { name, fields: below } of fields) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      if (below) count(`${path}.${name}`, below);
    }
  };
  const note = (path: string, fields: readonly FetchedField[]): void => {
    for (const field of fields) {
      const { name, fields: below } = field;
      field.isOnlyHere = byPath.get(path)?.get(name) === 1;
      if (!below) continue;
      const pathBelow = `${path}.${name}`;
      note(pathBelow, below);
      const unasked = [...(byPath.get(pathBelow) ?? [])].flatMap(([other, fetches]) =>
        fetches > 1 && !below.some((one) => one.name === other) ? other : [],
      );
      if (unasked.length > 0 || below.some((one) => one.unasked)) field.unasked = unasked;
    }
  };
  for (const visit of [count, note])
    for (const { path, fields } of fetches)
      visit(path.map((step) => (step === '@' ? '' : `.${step}`)).join(''), fields);
};

/**
 * Merges what a fetch asked for from its response into an object. What it did not ask for has no effect: an
 * object is taken with all its members, and those that were not asked for are replaced by the fetch that asks
 * for them, or forgotten if several do. Null replaces no value of another fetch, and the name of an interface
 * object's type does not replace that of the object.
 */
export const mergeFetched = (
  target: JsonObject,
  source: JsonObject,
  fields: readonly FetchedField[],
  types: TypeConditions,
): void => {
  for (const field of fields) {
    const { name, fields: below, isOnlyHere } = field;
    const value = source[name];
    const known = target[name];
    if (field.unasked) forgetUnasked(value, field);
    if (value === undefined) {
      if (isOnlyHere && known !== undefined) target[name] = undefined;
    } else if (isOnlyHere || known === undefined || known === null) target[name] = value;
    else if (value === null || value === known) continue;
    else if (below) mergeValue(known, value, below, types);
    else if (name !== '__typename' || !types.isObjectType(known)) target[name] = value;
  }
};

/** Forgets members that several other fetches ask for: the first of them would take such a value for one. */
const forgetUnasked = (value: unknown, field: FetchedField): void => {
  if (isList(value)) for (const item of value) forgetUnasked(item, field);
  if (!isObject(value)) return;
  for (const name of field.unasked ?? []) if (value[name] !== undefined) value[name] = undefined;
  for (const one of field.fields ?? []) if (one.unasked) forgetUnasked(value[one.name], one);
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
