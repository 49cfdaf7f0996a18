import type { FetchNode, QueryPlanSelectionNode } from '@apollo/query-planner';
import {
  Kind,
  parse,
  print,
  stripIgnoredCharacters,
  visit,
  type ASTNode,
  type DocumentNode,
  type FieldNode,
} from 'graphql';
import type { PlannerSupergraph } from '../supergraph/required-arguments.js';
import type { TypeConditions } from './type-conditions.js';

/**
 * Replaces the fields that exist for the planner only by the fields that they stand for, with their
 * arguments; the response has the planner's name.
 */
export const withRequiredFields = (
  text: string,
  requiredFields: PlannerSupergraph['requiredFields'],
): string =>
  requiredFields.size === 0
    ? text
    : compactText(
        visit(parse(text, { noLocation: true }), {
          Field: (field) => {
            const { name, arguments: args } = requiredFields.get(field.name.value) ?? {};
            return name && { ...field, alias: field.alias ?? field.name, name, arguments: args ?? [] };
          },
        }),
      );

/** Writes a document as the planner does, without characters that mean nothing. */
export const compactText = (document: ASTNode): string => stripIgnoredCharacters(print(document));

/** Splits a fetch whose fields do not require the same, where one representation cannot serve all of them. */
export const separateFetches = (
  fetch: FetchNode,
  supergraph: Pick<PlannerSupergraph, 'requiredFields' | 'requiredBy'>,
  types: TypeConditions,
): readonly FetchNode[] =>
  separateArguments(fetch, supergraph).flatMap((part) => separateTypes(part, supergraph, types));

/**
 * Splits a fetch that needs one field with several sets of arguments in its representations, which have one
 * value for each name. Each part fetches the fields that need the same set.
 */
const separateArguments = (
  fetch: FetchNode,
  { requiredFields, requiredBy }: Pick<PlannerSupergraph, 'requiredFields' | 'requiredBy'>,
): readonly FetchNode[] => {
  if (requiredFields.size === 0 || !fetch.requires) return [fetch];
  const conflicting = conflictsOf(fetch.requires, requiredFields);
  if (conflicting.size === 0) return [fetch];
  const document = parse(fetch.operation, { noLocation: true });
  const partOf = (type: string, field: string): string =>
    [...(requiredBy.get(`${type}.${field}`) ?? [])].filter((name) => conflicting.has(name)).join();
  const parts = new Set<string>();
  eachEntityField(document, (type, field) => {
    parts.add(partOf(type, field.name.value));
    return true;
  });
  // Fields that need none of them travel with the first part.
  const named = [...parts].filter((part) => part !== '');
  return named.map((part, index) => {
    const needed = new Set(part.split(','));
    return {
      ...fetch,
      operation: compactText(
        eachEntityField(document, (type, field) => {
          const needs = partOf(type, field.name.value);
          return needs === part || (needs === '' && index === 0);
        }),
      ),
      requires: withoutNames(fetch.requires ?? [], (name) => conflicting.has(name) && !needed.has(name)),
    };
  });
};

/**
 * Splits a fetch of interface objects in which several types have keys of their own. The planner takes what
 * a field requires from the type for which the client selects it, but writes it for all types, so that an
 * object of another type lacks it. Each part fetches the fields that require the same.
 */
const separateTypes = (
  fetch: FetchNode,
  { requiredFields }: Pick<PlannerSupergraph, 'requiredFields'>,
  types: TypeConditions,
): readonly FetchNode[] => {
  const { serviceName, requires = [] } = fetch;
  const withKey = new Set<string>();
  const shared = new Set<string>();
  for (const selection of requires) {
    if (selection.kind === 'Field') continue;
    const { typeCondition: type = '', selections } = selection;
    const names = selections.flatMap((one) => (one.kind === 'Field' ? [one.name] : []));
    const keys = types.keysOf(serviceName, type);
    if (keys.some((key) => key.every((name) => names.includes(name)))) withKey.add(type);
    if (types.isObjectType(type)) continue;
    for (const name of names) if (name !== '__typename' && !keys.flat().includes(name)) shared.add(name);
  }
  if (withKey.size < 2 || shared.size === 0) return [fetch];
  const original = (name: string): string => requiredFields.get(name)?.name.value ?? name;
  const document = parse(fetch.operation, { noLocation: true });
  const parts = new Map<string, ReadonlySet<string>>();
  const partOf = (type: string, field: FieldNode): string => {
    const needed = new Set(types.requiredBy(serviceName, type, original(field.name.value)));
    const key = [...needed].sort().join();
    parts.set(key, needed);
    return key;
  };
  eachEntityField(document, (type, field) => {
    if (field.name.value !== '__typename') partOf(type, field);
    return true;
  });
  if (parts.size < 2) return [fetch];
  return [...parts].map(([part, needed]) => ({
    ...fetch,
    operation: compactText(
      eachEntityField(
        document,
        (type, field) => field.name.value === '__typename' || partOf(type, field) === part,
      ),
    ),
    requires: requires.map((one) =>
      one.kind === 'Field' || types.isObjectType(one.typeCondition)
        ? one
        : {
            ...one,
            selections: one.selections.filter(
              (field) =>
                field.kind !== 'Field' || !shared.has(field.name) || needed.has(original(field.name)),
            ),
          },
    ),
  }));
};

/** Returns those names of required fields that stand for the same field, in one selection set. */
const conflictsOf = (
  selections: readonly QueryPlanSelectionNode[],
  requiredFields: PlannerSupergraph['requiredFields'],
): Set<string> => {
  const byField = new Map<string, string[]>();
  const conflicts = new Set<string>();
  for (const selection of selections) {
    for (const name of selection.selections ? conflictsOf(selection.selections, requiredFields) : [])
      conflicts.add(name);
    const field = selection.kind === 'Field' ? requiredFields.get(selection.name) : undefined;
    if (field && selection.kind === 'Field') {
      byField.set(field.name.value, [...(byField.get(field.name.value) ?? []), selection.name]);
    }
  }
  for (const names of byField.values()) if (names.length > 1) names.forEach((name) => conflicts.add(name));
  return conflicts;
};

/** Returns the document with those fields of its entities for which `keeps` returns true. */
const eachEntityField = (
  document: DocumentNode,
  keeps: (type: string, field: FieldNode) => boolean,
): DocumentNode =>
  visit(document, {
    InlineFragment: (fragment, _key, _parent, path) => {
      // Only the fragments of `_entities` itself: the paths of others are longer.
      if (path.length > 8) return false;
      const type = fragment.typeCondition?.name.value ?? '';
      const selections = fragment.selectionSet.selections.filter(
        (selection) => selection.kind !== Kind.FIELD || keeps(type, selection),
      );
      if (selections.length === 0) return null;
      return { ...fragment, selectionSet: { ...fragment.selectionSet, selections } };
    },
  });

const withoutNames = (
  selections: readonly QueryPlanSelectionNode[],
  isLeftOut: (name: string) => boolean,
): QueryPlanSelectionNode[] =>
  selections
    .filter((selection) => selection.kind !== 'Field' || !isLeftOut(selection.name))
    .map((selection) =>
      selection.selections
        ? { ...selection, selections: withoutNames(selection.selections, isLeftOut) }
        : selection,
    );
