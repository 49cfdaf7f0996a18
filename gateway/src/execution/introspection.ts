import {
  execute,
  GraphQLError,
  Kind,
  separateOperations,
  type DocumentNode,
  type ExecutionResult,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
} from 'graphql';
import { fragmentsOf } from '@cinegraph/service/list-cost';

/** An operation and the document that it is in. */
export interface Operation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
}

/** The parts of an operation: what the schema itself answers, and what subgraphs do. */
export interface SplitOperation {
  readonly introspection: Operation | undefined;
  readonly rest: Operation | undefined;
}

/**
 * Splits an operation into its `__schema` and `__type` and the rest; a part without fields is undefined. The
 * planner knows an older introspection than graphql-js, without `isOneOf`, so that it must not see the first
 * part. An operation without introspection is returned as it is.
 */
export const splitIntrospection = (whole: Operation): SplitOperation => {
  const { document, operation } = whole;
  const fragments = fragmentsOf(document);
  if (!hasIntrospection(operation.selectionSet.selections, fragments)) {
    return { introspection: undefined, rest: whole };
  }
  const partOf = (introspects: boolean): Operation | undefined => {
    const selections = filterRoot(operation.selectionSet.selections, fragments, introspects);
    if (selections.length === 0) return undefined;
    const part = { ...operation, selectionSet: { kind: Kind.SELECTION_SET, selections } } as const;
    const definitions = document.definitions.map((definition) =>
      definition === operation ? part : definition,
    );
    // Without the fragments that only the other part uses.
    const reduced = separateOperations({ ...document, definitions })[operation.name?.value ?? ''];
    return { document: reduced ?? { ...document, definitions }, operation: part };
  };
  return { introspection: partOf(true), rest: partOf(false) };
};

/** Executes the part of an operation that the schema itself answers. */
export const introspect = (
  schema: GraphQLSchema,
  { document, operation }: Operation,
  variables: Readonly<Record<string, unknown>>,
): ExecutionResult => {
  const result = execute({
    schema,
    document,
    variableValues: variables,
    ...(operation.name && { operationName: operation.name.value }),
  });
  if (result instanceof Promise) throw new GraphQLError('introspection is synchronous');
  return result;
};

const isIntrospection = (name: string): boolean => name === '__schema' || name === '__type';

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

const hasIntrospection = (selections: readonly SelectionNode[], fragments: Fragments): boolean =>
  selections.some((selection) => {
    if (selection.kind === Kind.FIELD) return isIntrospection(selection.name.value);
    const { selectionSet } =
      selection.kind === Kind.INLINE_FRAGMENT ? selection : (fragments.get(selection.name.value) ?? {});
    return selectionSet !== undefined && hasIntrospection(selectionSet.selections, fragments);
  });

/** Keeps the root fields of one part; a spread becomes an inline fragment with what it keeps. */
const filterRoot = (
  selections: readonly SelectionNode[],
  fragments: Fragments,
  introspects: boolean,
): SelectionNode[] =>
  selections.flatMap((selection): SelectionNode[] => {
    if (selection.kind === Kind.FIELD)
      return isIntrospection(selection.name.value) === introspects ? [selection] : [];
    const fragment =
      selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
    if (!fragment) return [];
    const kept = filterRoot(fragment.selectionSet.selections, fragments, introspects);
    if (kept.length === 0) return [];
    return [
      {
        kind: Kind.INLINE_FRAGMENT,
        ...(fragment.typeCondition && { typeCondition: fragment.typeCondition }),
        ...(selection.directives && { directives: selection.directives }),
        selectionSet: { kind: Kind.SELECTION_SET, selections: kept },
      },
    ];
  });
