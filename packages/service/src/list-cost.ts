import {
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

/** An operation whose cost is counted; the document must be valid. */
export interface CountedOperation {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  /** The variables of the request. A variable that is left out has the default of the operation. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Receives the name of each variable on which the cost depends. */
  readonly onVariable?: (name: string) => void;
}

/** Returns the value of an argument of the field that is counted; undefined if it has none. */
export type ArgumentValue = (name: string) => unknown;

/** What is known of the size and weight of one field, for example from its directives. */
export interface FieldRules {
  /** The size of the list, if no argument says it. */
  readonly assumedSize?: number | undefined;
  /** The arguments that hold the size; `first`, `last` and `limit` by default. */
  readonly slicingArguments?: readonly string[] | undefined;
  /** The fields of the returned object that have this size; by default each of its lists. */
  readonly sizedFields?: readonly string[] | undefined;
  /** Whether the operation must have exactly one of the slicing arguments. */
  readonly requiresOneSlicingArgument?: boolean | undefined;
  /** What one value of the field costs; 1 for an item of a list and 0 for anything else by default. */
  readonly weight?: number | undefined;
  /** Returns what the arguments of one field cost, however long its list is; 0 by default. */
  readonly costOfArguments?: ((value: ArgumentValue) => number) | undefined;
}

/** The rules by which {@link costOfLists} counts. */
export interface CostRules {
  /** What a field with a requested size costs besides its items. */
  readonly readCost: number;
  /** The size of a list that has an argument for its size, but neither a value nor a default for it. */
  readonly pageSize: number;
  /** A list without such an argument: how many items it counts, and how much each of them. */
  readonly plainList: { readonly size: number; readonly weight: number };
  /** The rules of single fields. */
  readonly ofField?: (type: GraphQLCompositeType, field: GraphQLField<unknown, unknown>) => FieldRules;
  /** Returns the size of a field that is known in another way; undefined otherwise. It may refuse a field. */
  readonly sizeOf?: (
    field: GraphQLField<unknown, unknown>,
    value: ArgumentValue,
    rules: FieldRules,
  ) => number | undefined;
}

/** A size that a field with a page argument passes on to the lists of the object that it returns. */
interface Page {
  readonly size: number;
  readonly fields: readonly string[] | undefined;
}

/** The arguments that hold the size of a list, unless a field has other rules. */
export const sizeArguments: readonly string[] = ['first', 'last', 'limit'];
const noRules: FieldRules = {};

/**
 * Returns what an operation could cost before anything is read: with the default weights, how many items its
 * lists could return. The sizes of nested
 * lists multiply. A field with `first`, `last` or `limit` that returns an object (a connection) gives its
 * size to the lists of that object. What `@skip` or `@include` leaves out costs nothing, and neither does
 * introspection. Each fragment is counted once for each page that it is used in, however often it is spread,
 * and the result is at most `Number.MAX_SAFE_INTEGER`.
 */
export const costOfLists = (counted: CountedOperation, rules: CostRules): number => {
  const { schema, document, operation } = counted;
  const root = schema.getRootType(operation.operation);
  if (!root) return 0;
  const variables = variableValuesOf(counted);
  const fragments = fragmentsOf(document);
  const known = new Map<string, number>();

  const ofSelections = (
    type: GraphQLCompositeType,
    { selections }: SelectionSetNode,
    page?: Page,
  ): number => {
    let cost = 0;
    for (const selection of selections) {
      if (isLeftOut(selection, variables)) continue;
      if (selection.kind === Kind.FIELD) {
        cost = add(cost, ofField(type, selection, page));
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition && schema.getType(selection.typeCondition.name.value);
        cost = add(cost, ofSelections(isCompositeType(on) ? on : type, selection.selectionSet, page));
      } else {
        cost = add(cost, ofFragment(selection.name.value, page));
      }
    }
    return cost;
  };

  const ofFragment = (name: string, page: Page | undefined): number => {
    const key = `${name} ${page?.size ?? ''} ${page?.fields?.join(' ') ?? ''}`;
    const counted = known.get(key);
    if (counted !== undefined) return counted;
    const fragment = fragments.get(name);
    const on = fragment && schema.getType(fragment.typeCondition.name.value);
    const cost = fragment && isCompositeType(on) ? ofSelections(on, fragment.selectionSet, page) : 0;
    known.set(key, cost);
    return cost;
  };

  const ofField = (type: GraphQLCompositeType, node: FieldNode, page: Page | undefined): number => {
    const field = fieldOf(type, node.name.value);
    if (!field) return 0;
    const stated = rules.ofField?.(type, field) ?? noRules;
    const value = argumentsOf(node, variables);
    const requested =
      rules.sizeOf?.(field, value, stated) ?? requestedSize(field, stated, value, rules.pageSize);
    const inner = getNamedType(field.type);
    const isList = isListType(getNullableType(field.type));
    const passesOn = requested !== undefined && (!isList || stated.sizedFields !== undefined);
    const below =
      node.selectionSet && isCompositeType(inner)
        ? ofSelections(
            inner,
            node.selectionSet,
            passesOn ? { size: requested, fields: stated.sizedFields } : undefined,
          )
        : 0;
    const isRead = add(
      requested !== undefined ? rules.readCost : 0,
      atLeastZero(stated.costOfArguments?.(value) ?? 0),
    );
    if (!isList) return add(isRead, atLeastZero(add(stated.weight ?? 0, below)));
    const inPage = page !== undefined && (page.fields?.includes(field.name) ?? true);
    const size = (passesOn ? undefined : requested) ?? (inPage ? page.size : rules.plainList.size);
    const weight = stated.weight ?? (requested === undefined && !inPage ? rules.plainList.weight : 1);
    return add(isRead, multiply(size, atLeastZero(add(weight, below))));
  };

  return ofSelections(root, operation.selectionSet);
};

/** Returns the fragments of a document by name. */
export const fragmentsOf = (document: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> => {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  return fragments;
};

/** Adds, and stays a whole number that can be compared. */
export const add = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);

/** A weight may be negative, but it must not pay for other fields. */
const atLeastZero = (cost: number): number => Math.max(0, cost);

const multiply = (a: number, b: number): number => Math.min(a * b, Number.MAX_SAFE_INTEGER);

/** Returns the value of a variable; undefined if it has none. */
export type VariableValue = (name: string) => unknown;

/** Returns the variables of an operation, with their defaults. */
export const variableValuesOf = ({ operation, variables, onVariable }: CountedOperation): VariableValue => {
  const effective = new Map<string, unknown>();
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    const name = variable.name.value;
    effective.set(
      name,
      Object.hasOwn(variables, name) ? variables[name] : valueOf(defaultValue, () => undefined),
    );
  }
  return (name) => {
    onVariable?.(name);
    return effective.get(name);
  };
};

/** Returns the size that a field requests; undefined if it has no argument for one. */
const requestedSize = (
  field: GraphQLField<unknown, unknown>,
  { slicingArguments = sizeArguments, assumedSize }: FieldRules,
  value: ArgumentValue,
  pageSize: number,
): number | undefined => {
  const sizes = field.args.filter(({ name }) => slicingArguments.includes(name));
  if (sizes.length === 0) return assumedSize;
  const numbers = (found: readonly unknown[]) => found.filter((one) => typeof one === 'number');
  const requested = numbers(sizes.map(({ name }) => value(name)));
  const sized = requested.length > 0 ? requested : numbers(sizes.map(({ defaultValue }) => defaultValue));
  // The resolver refuses a size that is out of range.
  return sized.length > 0 ? Math.max(0, ...sized) : (assumedSize ?? pageSize);
};

const isLeftOut = ({ directives = [] }: SelectionNode, variables: VariableValue): boolean =>
  directives.some(({ name, arguments: [condition] = [] }) => {
    const value = valueOf(condition?.value, variables);
    return (name.value === 'skip' && value === true) || (name.value === 'include' && value === false);
  });

/** Returns the values of the arguments of a field, as far as the operation has them. */
export const argumentsOf =
  (node: FieldNode, variables: VariableValue): ArgumentValue =>
  (name) =>
    valueOf(node.arguments?.find((argument) => argument.name.value === name)?.value, variables);

/** Returns a field of a type; undefined for those of introspection. */
export const fieldOf = (
  type: GraphQLCompositeType,
  name: string,
): GraphQLField<unknown, unknown> | undefined =>
  isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;

const valueOf = (node: ValueNode | undefined, variables: VariableValue): unknown => {
  switch (node?.kind) {
    case Kind.VARIABLE:
      return variables(node.name.value);
    case Kind.INT:
    case Kind.FLOAT:
      return Number(node.value);
    case Kind.LIST:
      return node.values.map((value) => valueOf(value, variables));
    case Kind.OBJECT:
      return Object.fromEntries(
        node.fields.map(({ name, value }) => [name.value, valueOf(value, variables)]),
      );
    case Kind.STRING:
    case Kind.BOOLEAN:
    case Kind.ENUM:
      return node.value;
    case Kind.NULL:
      return null;
    default:
      return undefined;
  }
};
