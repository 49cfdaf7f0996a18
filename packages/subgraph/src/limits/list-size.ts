import type { ApolloServerPlugin } from '@apollo/server';
import {
  getNamedType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  Kind,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { refusedRequest } from '@cinegraph/service/refusal';

/** The maximum number of items that the lists of one operation may return together. */
export const maxItems = 20_000;

/** The cost of a list besides its items: each list is a read of the store, even if it is empty. */
const listCost = 20;

/** The size of a list for which the operation requests none. */
const defaultItems = 20;

type Variables = Readonly<Record<string, unknown>>;

/**
 * Creates a plug-in that refuses, before anything is read, an operation whose nested lists could return more
 * than 20,000 items. The sizes of nested lists multiply, so that a hundred characters may request a hundred
 * million items. A list counts its `first` or `last` (20 if there is neither) and 20 for the read.
 * `_entities` counts its representations, which must be objects of a type in the schema.
 */
export const itemLimit = (): ApolloServerPlugin => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ schema, document, operation, request }) => {
      if (!operation) return;
      const fragments = new Map<string, FragmentDefinitionNode>();
      for (const definition of document.definitions) {
        if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
      }
      const root = schema.getRootType(operation.operation);
      if (!root) return;
      const items = countItems({
        schema,
        fragments,
        variables: request.variables ?? {},
        root,
        selections: operation.selectionSet,
      });
      if (items <= maxItems) return;
      throw refusedRequest(
        `The lists of this operation could return ${items > 1e9 ? 'more than a billion' : items} items, but at most ${maxItems} are allowed. Ask for shorter lists.`,
      );
    },
  }),
});

/**
 * Returns how many items the lists of a validated operation could return. Each fragment is counted once,
 * however often it is used.
 */
export const countItems = (operation: {
  schema: GraphQLSchema;
  fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  variables: Variables;
  root: GraphQLCompositeType;
  selections: SelectionSetNode;
}): number => {
  const { schema, fragments, variables } = operation;
  const known = new Map<string, number>();

  const ofSelections = (type: GraphQLCompositeType, { selections }: SelectionSetNode): number => {
    let items = 0;
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const field = fieldOf(type, selection.name.value);
        if (!field) continue;
        const inner = getNamedType(field.type);
        const below =
          selection.selectionSet && isCompositeType(inner) ? ofSelections(inner, selection.selectionSet) : 0;
        const size = sizeOf(
          field,
          new Map(selection.arguments?.map(({ name, value }) => [name.value, value])),
        );
        items += size === undefined ? below : listCost + size * (1 + below);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition && schema.getType(selection.typeCondition.name.value);
        items += ofSelections(isCompositeType(on) ? on : type, selection.selectionSet);
      } else {
        items += ofFragment(selection.name.value);
      }
    }
    return items;
  };

  const ofFragment = (name: string): number => {
    const counted = known.get(name);
    if (counted !== undefined) return counted;
    const fragment = fragments.get(name);
    const on = fragment && schema.getType(fragment.typeCondition.name.value);
    const items = fragment && isCompositeType(on) ? ofSelections(on, fragment.selectionSet) : 0;
    known.set(name, items);
    return items;
  };

  /** Returns how many items a field can return; undefined if it is not a list with a requested size. */
  const sizeOf = (
    field: GraphQLField<unknown, unknown>,
    values: ReadonlyMap<string, ValueNode>,
  ): number | undefined => {
    if (field.name === '_entities') {
      return countRepresentations(schema, valueOf(values.get('representations'), variables));
    }
    const sizes = field.args.filter(({ name }) => name === 'first' || name === 'last');
    if (sizes.length === 0) return undefined;
    const numbers = (found: readonly unknown[]) => found.filter((value) => typeof value === 'number');
    const requested = numbers(sizes.map(({ name }) => valueOf(values.get(name), variables)));
    const [size = defaultItems] =
      requested.length > 0 ? requested : numbers(sizes.map(({ defaultValue }) => defaultValue));
    // The resolver refuses a size that is out of range.
    return Math.max(0, size);
  };

  return ofSelections(operation.root, operation.selections);
};

const fieldOf = (type: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> | undefined =>
  isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;

const valueOf = (node: ValueNode | undefined, variables: Variables): unknown => {
  if (node?.kind === Kind.VARIABLE) return variables[node.name.value];
  if (node?.kind === Kind.INT) return Number(node.value);
  if (node?.kind === Kind.LIST) return node.values.map((value) => valueOf(value, variables));
  if (node?.kind === Kind.OBJECT) {
    return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, valueOf(value, variables)]));
  }
  return node?.kind === Kind.STRING ? node.value : null;
};

const countRepresentations = (schema: GraphQLSchema, representations: unknown): number => {
  const list: readonly unknown[] = Array.isArray(representations) ? representations : [representations];
  for (const representation of list) {
    const { __typename: name } = (representation ?? {}) as { __typename?: unknown };
    if (typeof name === 'string' && isObjectType(schema.getType(name))) continue;
    throw refusedRequest(
      'Each representation must be an object with the __typename of an entity of this subgraph.',
    );
  }
  return list.length;
};
