import {
  Kind,
  print,
  validate,
  visit,
  type ASTNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type SelectionNode,
} from 'graphql';

/** An operation with the values of its variables. */
export interface GeneratedOperation {
  readonly document: DocumentNode;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Removes a node from a document, and everything that nothing uses then. Undefined if nothing is left. */
export const without = (document: DocumentNode, removed: ASTNode): DocumentNode | undefined =>
  prune(visit(document, { enter: (node) => (node === removed ? null : undefined) }));

/** Removes selections, fragments and variables that nothing uses. Undefined if nothing is left. */
export const prune = (document: DocumentNode): DocumentNode | undefined => {
  let current = document;
  for (;;) {
    const spreads = new Set<string>();
    const used = new Set<string>();
    visit(current, {
      FragmentSpread: (node) => void spreads.add(node.name.value),
      VariableDefinition: () => false,
      Variable: (node) => void used.add(node.name.value),
    });
    const names = new Set(
      current.definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [one.name.value] : [])),
    );
    const next: DocumentNode = visit(current, {
      FragmentDefinition: (node) => (spreads.has(node.name.value) ? undefined : null),
      VariableDefinition: (node) => (used.has(node.variable.name.value) ? false : null),
      FragmentSpread: (node) => (names.has(node.name.value) ? undefined : null),
      Field: { leave: (node) => (node.selectionSet?.selections.length === 0 ? null : undefined) },
      InlineFragment: { leave: (node) => (node.selectionSet.selections.length === 0 ? null : undefined) },
    });
    // `visit` returns the same document if it changed nothing.
    if (next === current) {
      const rest = current.definitions.filter(
        (one) =>
          (one.kind !== Kind.OPERATION_DEFINITION && one.kind !== Kind.FRAGMENT_DEFINITION) ||
          one.selectionSet.selections.length > 0,
      );
      if (!rest.some((one) => one.kind === Kind.OPERATION_DEFINITION)) return undefined;
      if (rest.length === current.definitions.length) return current;
      current = { ...current, definitions: rest };
      continue;
    }
    current = next;
  }
};

/** Returns the values of the variables that a document still declares. */
export const declaredOnly = (
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> => {
  const declared = new Set(
    document.definitions.flatMap((one) =>
      one.kind === Kind.OPERATION_DEFINITION
        ? (one.variableDefinitions ?? []).map(({ variable }) => variable.name.value)
        : [],
    ),
  );
  return Object.fromEntries(Object.entries(variables).filter(([name]) => declared.has(name)));
};

/**
 * Returns the smallest operation that `fails`, by leaving out selections, directives, aliases and arguments
 * while it does.
 */
export const shrink = async (
  schema: GraphQLSchema,
  failing: GeneratedOperation,
  fails: (operation: GeneratedOperation) => Promise<boolean>,
  maxAttempts = 150,
): Promise<GeneratedOperation> => {
  let smallest = failing;
  let attempts = 0;
  for (let progress = true; progress && attempts < maxAttempts;) {
    progress = false;
    for (let index = 0, candidates = smallerOnes(smallest.document); index < candidates.length;) {
      const document = candidates[index]?.();
      const isCandidate = document && attempts < maxAttempts && validate(schema, document).length === 0;
      if (isCandidate) attempts += 1;
      const candidate = document && { document, variables: declaredOnly(document, smallest.variables) };
      if (isCandidate && candidate && (await fails(candidate))) {
        smallest = candidate;
        candidates = smallerOnes(document);
        progress = true;
      } else index += 1;
    }
  }
  return smallest;
};

/** Returns the documents with one thing less, the larger parts first. */
const smallerOnes = (document: DocumentNode): (() => DocumentNode | undefined)[] => {
  const fragments = new Map<string, FragmentDefinitionNode>();
  const selections: SelectionNode[] = [];
  const details: ASTNode[] = [];
  visit(document, {
    enter: (node) => {
      if (node.kind === Kind.FRAGMENT_DEFINITION) fragments.set(node.name.value, node);
      if (
        node.kind === Kind.FIELD ||
        node.kind === Kind.INLINE_FRAGMENT ||
        node.kind === Kind.FRAGMENT_SPREAD
      )
        selections.push(node);
      if (node.kind === Kind.DIRECTIVE || node.kind === Kind.ARGUMENT) details.push(node);
    },
  });
  const replaced = (node: ASTNode, by: readonly ASTNode[]) =>
    prune(
      visit(document, {
        SelectionSet: {
          leave: (set) => ({
            ...set,
            selections: set.selections.flatMap((one) => (one === node ? (by as SelectionNode[]) : [one])),
          }),
        },
      }),
    );
  return [
    ...selections.map((node) => () => without(document, node)),
    ...selections.flatMap((node) => {
      if (node.kind === Kind.INLINE_FRAGMENT) return [() => replaced(node, node.selectionSet.selections)];
      if (node.kind === Kind.FIELD) {
        const { alias, ...bare } = node;
        return alias ? [() => replaced(node, [bare])] : [];
      }
      const definition = fragments.get(node.name.value);
      if (!definition) return [];
      const { typeCondition, selectionSet } = definition;
      return [() => replaced(node, [{ kind: Kind.INLINE_FRAGMENT, typeCondition, selectionSet }])];
    }),
    ...details.map((node) => () => without(document, node)),
  ];
};

/** Returns an operation as text, for a message. */
export const printOperation = ({ document, variables }: GeneratedOperation): string =>
  `${print(document)}\nvariables: ${JSON.stringify(variables)}`;
