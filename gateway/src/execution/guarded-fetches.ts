import type { FetchNode, QueryPlanSelectionNode } from '@apollo/query-planner';
import {
  isAbstractType,
  isInterfaceType,
  Kind,
  parse,
  visit,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';
import type { Access } from './access.js';
import { compactText } from './required-fields.js';
import type { TypeConditions } from './type-conditions.js';

/** What a fetch is compared with. `access` is undefined if the viewer may see everything. */
interface Guard {
  readonly schema: GraphQLSchema;
  readonly access: Access | undefined;
  readonly types: TypeConditions;
}

/**
 * Splits a fetch of entities so that no object is asked for a field that the viewer may not see on its type.
 * The planner asks for a field of one type on the whole interface if it goes from one interface object to
 * another. Each part is for the types on which the viewer sees the same fields. Keys are fetched in any case,
 * because joins need them.
 */
export const guardFetch = (fetch: FetchNode, guard: Guard): readonly FetchNode[] => {
  const { requires } = fetch;
  if (!guard.access || !requires?.some((one) => isInterface(guard.schema, conditionOf(one)))) return [fetch];
  const [operation] = parse(fetch.operation, { noLocation: true }).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION) return [fetch];
  const refused = refusedFields(operation, guard);
  if (refused.size === 0) return [fetch];
  const groups = new Map<string, { readonly fields: ReadonlySet<string>; readonly types: Set<string> }>();
  for (const type of requires.flatMap((one) => objectTypesOf(guard.schema, conditionOf(one)))) {
    const fields = refused.get(type) ?? new Set();
    const key = [...fields].sort().join();
    const group = groups.get(key) ?? { fields, types: new Set() };
    groups.set(key, group);
    group.types.add(type);
  }
  return [...groups.values()].flatMap(({ fields, types }) => {
    const reduced = withoutFields(operation, fields, guard.schema);
    if (!reduced) return [];
    const ofTypes = requires.flatMap((one) =>
      objectTypesOf(guard.schema, conditionOf(one))
        .filter((type) => types.has(type))
        .map((typeCondition) => ({ ...one, typeCondition })),
    );
    return [{ ...fetch, operation: compactText(reduced), requires: ofTypes }];
  });
};

/** Returns, by object type, the fetched fields of interfaces that the viewer may not see on it. */
const refusedFields = (
  operation: OperationDefinitionNode,
  { schema, access, types }: Guard,
): ReadonlyMap<string, ReadonlySet<string>> => {
  const refused = new Map<string, Set<string>>();
  for (const fragment of entitySelections(operation)) {
    if (fragment.kind !== Kind.INLINE_FRAGMENT) continue;
    const type = schema.getType(fragment.typeCondition?.name.value ?? '');
    if (!isInterfaceType(type)) continue;
    for (const selection of fragment.selectionSet.selections) {
      if (selection.kind !== Kind.FIELD) continue;
      const field = selection.name.value;
      if (field === '__typename' || types.isKey(type.name, field)) continue;
      for (const { name } of access?.divide(type, field)?.refused ?? []) {
        refused.set(name, (refused.get(name) ?? new Set()).add(field));
      }
    }
  }
  return refused;
};

const entitySelections = ({ selectionSet }: OperationDefinitionNode): readonly SelectionNode[] =>
  selectionSet.selections.flatMap((field) =>
    field.kind === Kind.FIELD ? (field.selectionSet?.selections ?? []) : [],
  );

/** Removes fields of interfaces from the entities of an operation; returns undefined if no field is left. */
const withoutFields = (
  operation: OperationDefinitionNode,
  fields: ReadonlySet<string>,
  schema: GraphQLSchema,
): OperationDefinitionNode | undefined => {
  if (fields.size === 0) return operation;
  const selections = entitySelections(operation).flatMap((fragment): SelectionNode[] => {
    if (fragment.kind !== Kind.INLINE_FRAGMENT || !isInterface(schema, fragment.typeCondition?.name.value))
      return [fragment];
    const left = fragment.selectionSet.selections.filter(
      (one) => one.kind !== Kind.FIELD || !fields.has(one.name.value),
    );
    return left.length === 0
      ? []
      : [{ ...fragment, selectionSet: { kind: Kind.SELECTION_SET, selections: left } }];
  });
  if (selections.length === 0) return undefined;
  const [entities] = operation.selectionSet.selections;
  if (entities?.kind !== Kind.FIELD) return undefined;
  const reduced: OperationDefinitionNode = {
    ...operation,
    selectionSet: {
      kind: Kind.SELECTION_SET,
      selections: [{ ...entities, selectionSet: { kind: Kind.SELECTION_SET, selections } }],
    },
  };
  const used = new Set<string>();
  visit(reduced.selectionSet, { Variable: ({ name }) => void used.add(name.value) });
  return {
    ...reduced,
    variableDefinitions: (operation.variableDefinitions ?? []).filter(({ variable }) =>
      used.has(variable.name.value),
    ),
  };
};

const conditionOf = (selection: QueryPlanSelectionNode): string | undefined =>
  selection.kind === 'InlineFragment' ? selection.typeCondition : undefined;

const isInterface = (schema: GraphQLSchema, name: string | undefined): boolean =>
  name !== undefined && isInterfaceType(schema.getType(name));

const objectTypesOf = (schema: GraphQLSchema, name: string | undefined): readonly string[] => {
  if (name === undefined) return [];
  const type = schema.getType(name);
  return isAbstractType(type) ? schema.getPossibleTypes(type).map((one) => one.name) : [name];
};
