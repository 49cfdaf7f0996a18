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

/** The most items that the lists of one operation may bring together. */
export const maxItems = 20_000;

/** What asking for a list costs beside its items: it is a read of the store, whatever it brings. */
const listCost = 20;

/** Items of a list whose size the operation does not say. */
const defaultItems = 20;

type Variables = Readonly<Record<string, unknown>>;

/**
 * Refuses, before anything is read, an operation whose nested lists could bring more than 20,000 items: sizes multiply
 * on the way down, so that a hundred characters may ask for a hundred million. A list counts `first` or `last` (20
 * where neither is given) and 20 for the read; `_entities` counts its representations, which must be objects of a type
 * that the schema has.
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
        `The lists of this operation could bring ${items > 1e9 ? 'more than a billion' : items} items, but at most ${maxItems} are allowed. Ask for shorter lists.`,
      );
    },
  }),
});

/** How many items the lists of a validated operation could bring. Each fragment is counted once, however often used. */
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

  /** How many items a field brings; undefined when it is no list that the operation gives a size. */
  const sizeOf = (
    field: GraphQLField<unknown, unknown>,
    given: ReadonlyMap<string, ValueNode>,
  ): number | undefined => {
    if (field.name === '_entities') {
      return countRepresentations(schema, valueOf(given.get('representations'), variables));
    }
    const sizes = field.args.filter(({ name }) => name === 'first' || name === 'last');
    if (sizes.length === 0) return undefined;
    const numbers = (values: readonly unknown[]) => values.filter((value) => typeof value === 'number');
    const asked = numbers(sizes.map(({ name }) => valueOf(given.get(name), variables)));
    const [size = defaultItems] =
      asked.length > 0 ? asked : numbers(sizes.map(({ defaultValue }) => defaultValue));
    // A size that is out of range is the resolver's to refuse.
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
