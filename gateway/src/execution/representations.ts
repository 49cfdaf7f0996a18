import type { FetchDataRewrite, QueryPlanSelectionNode } from '@apollo/query-planner';
import type { FieldNode } from 'graphql';
import { applyRewrites } from './rewrites.js';
import { quote, writeJson } from './numbers.js';
import type { TypeConditions } from './type-conditions.js';

type JsonObject = Record<string, unknown>;

/**
 * Writes the representation of an entity as JSON text. Returns undefined if the object is of none of the
 * types that the fetch is about or lacks a key or a required field, and null if its key is null.
 */
export type WriteRepresentation = (object: JsonObject) => string | null | undefined;

/** How a fetch asks for its entities. */
export interface Representation {
  readonly write: WriteRepresentation;
  /**
   * How many members an object has that has nothing but the representation; undefined if some are objects.
   */
  readonly memberCount: number | undefined;
  /** The member that decides, with `__typename`, about the representation; undefined if there are several. */
  readonly singleKey: string | undefined;
}

/**
 * Compiles what a fetch requires of an object. `requiredFields` are the fields that exist for the planner
 * only: the subgraph gets their values under the names of the fields that they stand for.
 */
export const compileRepresentation = (
  subgraph: string,
  requires: readonly QueryPlanSelectionNode[],
  rewrites: readonly FetchDataRewrite[] | undefined,
  types: TypeConditions,
  requiredFields: ReadonlyMap<string, FieldNode>,
): Representation => {
  const nameForSubgraph = (name: string): string => requiredFields.get(name)?.name.value ?? name;
  const keys = keysIn(subgraph, requires, types);
  const hasKey = (object: JsonObject): boolean =>
    keys.length === 0 || keys.some((key) => key.every((name) => object[name] !== null));
  /** A fragment on an interface object may have no key: the types with a key have theirs in another one. */
  const lacksKey = (representation: JsonObject): boolean =>
    keys.length > 0 &&
    keys.every((key) => key.some((name) => representation[nameForSubgraph(name)] === undefined));
  const [first, ...others] = requires;
  if (first?.kind === 'InlineFragment' && others.length === 0 && !rewrites?.length) {
    const { typeCondition, selections } = first;
    const names = selections.flatMap((selection) =>
      selection.kind === 'Field' && !selection.selections ? [selection.alias ?? selection.name] : [],
    );
    if (names.length === selections.length && typeCondition !== undefined) {
      const write = writeFlat(typeCondition, names, types, { nameForSubgraph, hasKey });
      const [singleKey, ...otherKeys] = names.filter((name) => name !== '__typename');
      return { write, memberCount: names.length, singleKey: otherKeys.length > 0 ? undefined : singleKey };
    }
  }
  const write: WriteRepresentation = (object) => {
    const representation = pick(object, requires, types, nameForSubgraph);
    if (representation?.['__typename'] === undefined || lacksKey(representation)) return undefined;
    if (!hasKey(object)) return null;
    if (rewrites) applyRewrites(rewrites, representation, types);
    return writeJson(representation);
  };
  return { write, memberCount: undefined, singleKey: undefined };
};

/** The usual representation: a type and its key, all of them leaves. */
const writeFlat = (
  typeCondition: string,
  names: readonly string[],
  types: TypeConditions,
  options: { nameForSubgraph: (name: string) => string; hasKey: (object: JsonObject) => boolean },
): WriteRepresentation => {
  const { nameForSubgraph, hasKey } = options;
  const fields = names.map((name, index) => ({
    name,
    prefix: `${index === 0 ? '{' : ','}${quote(nameForSubgraph(name))}:`,
  }));
  return (object) => {
    if (!types.matches(object['__typename'], typeCondition)) return undefined;
    let text = '';
    for (const { name, prefix } of fields) {
      const value = object[name];
      if (value === undefined) return undefined;
      text += prefix + (typeof value === 'string' ? quote(value) : writeJson(value));
    }
    return hasKey(object) ? `${text}}` : null;
  };
};

/** Returns the keys of the subgraph among what is required of an object, by the names that it has there. */
const keysIn = (
  subgraph: string,
  requires: readonly QueryPlanSelectionNode[],
  types: TypeConditions,
): readonly (readonly string[])[] =>
  requires.flatMap((selection) => {
    if (selection.kind === 'Field' || selection.typeCondition === undefined) return [];
    const names = new Set(
      selection.selections.flatMap((field) => (field.kind === 'Field' ? [field.name] : [])),
    );
    return types
      .keysOf(subgraph, selection.typeCondition)
      .filter((key) => key.every((name) => names.has(name)));
  });

/** Copies the required fields of an object; undefined if one is missing. */
const pick = (
  object: JsonObject,
  selections: readonly QueryPlanSelectionNode[],
  types: TypeConditions,
  nameForSubgraph: (name: string) => string,
): JsonObject | undefined => {
  const picked: JsonObject = {};
  for (const selection of selections) {
    if (selection.kind === 'InlineFragment') {
      const { typeCondition } = selection;
      if (typeCondition !== undefined && !types.matches(object['__typename'], typeCondition)) continue;
      const part = pick(object, selection.selections, types, nameForSubgraph);
      if (part === undefined) return undefined;
      mergePicked(picked, part);
    } else {
      const name = selection.alias ?? selection.name;
      const value = Object.hasOwn(object, name) ? object[name] : undefined;
      if (value === undefined) return undefined;
      const part = selection.selections
        ? pickValue(value, selection.selections, types, nameForSubgraph)
        : value;
      if (part === undefined) return undefined;
      mergePicked(picked, { [nameForSubgraph(name)]: part });
    }
  }
  return picked;
};

const pickValue = (
  value: unknown,
  selections: readonly QueryPlanSelectionNode[],
  types: TypeConditions,
  nameForSubgraph: (name: string) => string,
): unknown => {
  if (Array.isArray(value)) {
    const items = value.map((item) => pickValue(item, selections, types, nameForSubgraph));
    return items.includes(undefined) ? undefined : items;
  }
  return isObject(value) ? pick(value, selections, types, nameForSubgraph) : value;
};

const mergePicked = (target: JsonObject, source: JsonObject): void => {
  for (const [name, value] of Object.entries(source)) {
    const known = target[name];
    if (Array.isArray(known) && Array.isArray(value)) {
      target[name] = known.map((item: unknown, index) => {
        const other: unknown = value[index];
        if (isObject(item) && isObject(other)) mergePicked(item, other);
        return item;
      });
    } else if (isObject(known) && isObject(value)) mergePicked(known, value);
    else target[name] = value;
  }
};

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
