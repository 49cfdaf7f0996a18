import { ApolloServerErrorCode } from '@apollo/server/errors';
import {
  add,
  argumentsOf,
  costOfLists,
  fieldOf,
  fragmentsOf,
  sizeArguments,
  variableValuesOf,
  type CostRules,
  type CountedOperation,
} from '@cinegraph/service/list-cost';
import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  Kind,
  type FieldNode,
  type GraphQLCompositeType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { refusedOperation } from '../errors.js';
import type { CostOfField } from '../supergraph/field-rules.js';

/** What an operation could cost, before it is planned. */
export interface OperationCost {
  /** The items that its lists could return. */
  readonly items: number;
  /** Its cost by `@cost` and `@listSize`; at least 1. */
  readonly cost: number;
  /** How often it selects each field that has a budget of its own, without those that it does not select. */
  readonly fields: readonly (readonly [field: string, count: number])[];
}

/** Measures operations, and remembers the measured ones. */
export type CostMeter = (counted: CountedOperation, ofField: CostOfField) => OperationCost;

/** The largest size that one list may request. */
export const maxListSize = 20_000;

/** What a mutation costs besides its fields, as in Apollo's demand control. */
const mutationCost = 10;

/** Maximum number of measurements that are kept for one operation, by the values of its variables. */
const maxMeasurements = 32;

/** Longer values of variables are measured each time. */
const maxKeyLength = 1_000;

/** How lists are sized, besides the directives of the supergraph. */
const listRules: Omit<CostRules, 'ofField'> = {
  readCost: 0,
  pageSize: 20,
  plainList: { size: 10, weight: 1 },
  sizeOf: (field, value, { slicingArguments, requiresOneSlicingArgument }) => {
    const names = slicingArguments ?? sizeArguments;
    for (const name of names) {
      const size = value(name);
      // A size that no list may have is one bad argument, not a complex operation.
      if (typeof size === 'number' && size > maxListSize) {
        throw badArgument(
          `The argument "${name}" of ${field.name} is ${size}, but at most ${maxListSize} items are allowed. Ask for a shorter list.`,
        );
      }
    }
    if (requiresOneSlicingArgument !== true) return undefined;
    const sent = names.filter((name) => typeof value(name) === 'number').length;
    const hasDefault = field.args.some(
      ({ name, defaultValue }) => names.includes(name) && typeof defaultValue === 'number',
    );
    if (sent === 1 || (sent === 0 && hasDefault)) return undefined;
    throw badArgument(
      `The field ${field.name} must have exactly one of the arguments ${names.map((name) => `"${name}"`).join(', ')}. Send one of them.`,
    );
  },
};

const badArgument = (message: string) => refusedOperation(ApolloServerErrorCode.BAD_USER_INPUT, message);

/**
 * Creates a meter that also counts the selections of `budgetedFields`, such as `Mutation.login`. It measures
 * an operation once for each combination of values of the variables on which its cost depends, as long as its
 * document is kept. The meter refuses a size above the maximum, and a field that lacks the one slicing
 * argument that its `@listSize` requires, with BAD_USER_INPUT.
 */
export const createCostMeter = (budgetedFields: readonly string[]): CostMeter => {
  const measured = new WeakMap<OperationDefinitionNode, Measurements>();
  return (counted, ofField) => {
    const { schema, operation, variables } = counted;
    let known = measured.get(operation);
    if (known?.schema !== schema) {
      known = { schema, variables: new Set(), costs: new Map() };
      measured.set(operation, known);
    }
    // The path is hot: most operations have a cost that depends on no variable.
    const found = known.costs.get(keyOf(known.variables, variables));
    if (found) return found;
    const knownVariables = known.variables.size;
    const cost = measure(
      { ...counted, onVariable: (name) => known.variables.add(name) },
      ofField,
      budgetedFields,
    );
    // A key of fewer variables says too little.
    if (known.variables.size > knownVariables || known.costs.size >= maxMeasurements) known.costs.clear();
    const key = keyOf(known.variables, variables);
    if (key.length <= maxKeyLength) known.costs.set(key, cost);
    return cost;
  };
};

interface Measurements {
  readonly schema: GraphQLSchema;
  /** The names of the variables on which the cost depends, as far as it was measured. */
  readonly variables: Set<string>;
  readonly costs: Map<string, OperationCost>;
}

const keyOf = (names: ReadonlySet<string>, variables: CountedOperation['variables']): string => {
  if (names.size === 0) return '';
  const values: unknown[] = [];
  // A variable that is left out has its default, which null has not.
  for (const name of names) values.push(Object.hasOwn(variables, name) ? [variables[name]] : 0);
  return JSON.stringify(values);
};

const measure = (
  counted: CountedOperation,
  ofField: CostOfField,
  budgetedFields: readonly string[],
): OperationCost => {
  const items = costOfLists(counted, {
    ...listRules,
    ofField: (type, field) => ({ ...ofField(type, field), weight: undefined, costOfArguments: undefined }),
  });
  const base = counted.operation.operation === 'mutation' ? mutationCost : 0;
  const cost = Math.max(1, add(base, costOfLists(counted, { ...listRules, ofField })));
  const fields = budgetedFields.map((name) => [name, countSelections(counted, name)] as const);
  return { items, cost, fields: fields.filter(([, count]) => count > 0) };
};

/** Counts how often an operation selects a field, under its type or an interface of it. */
const countSelections = (counted: CountedOperation, coordinate: string): number =>
  costOfLists(counted, {
    readCost: 0,
    pageSize: 1,
    plainList: { size: 1, weight: 0 },
    ofField: (type, { name }) => {
      const types = isAbstractType(type) ? counted.schema.getPossibleTypes(type) : [type];
      const isCounted = types.some((possible) => `${possible.name}.${name}` === coordinate);
      return { weight: isCounted ? 1 : 0, slicingArguments: [] };
    },
  });

/**
 * Returns what an operation did cost, by the lengths of the lists in its `data`. Null costs nothing. A field
 * that several fragments select for different types counts as the first of them.
 */
export const actualCost = (counted: CountedOperation, data: unknown, ofField: CostOfField): number => {
  const { schema, document, operation } = counted;
  const variables = variableValuesOf(counted);
  const fragments = fragmentsOf(document);

  const collect = (type: GraphQLCompositeType, set: SelectionSetNode, into: Collected): void => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const name = (selection.alias ?? selection.name).value;
        const collected = into.get(name);
        if (collected) collected.nodes.push(selection);
        else into.set(name, { type, nodes: [selection] });
        continue;
      }
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (!fragment) continue;
      const on = fragment.typeCondition && schema.getType(fragment.typeCondition.name.value);
      collect(isCompositeType(on) ? on : type, fragment.selectionSet, into);
    }
  };

  const ofObject = (type: GraphQLCompositeType, nodes: readonly FieldNode[], object: object): number => {
    const collected: Collected = new Map();
    for (const { selectionSet } of nodes) if (selectionSet) collect(type, selectionSet, collected);
    return ofCollected(collected, object);
  };

  const ofCollected = (collected: Collected, object: object): number => {
    let cost = 0;
    for (const [name, { type, nodes }] of collected) {
      const [node] = nodes;
      const field = node && fieldOf(type, node.name.value);
      if (!field || !Object.hasOwn(object, name)) continue;
      const { weight, costOfArguments } = ofField(type, field);
      const inner = getNamedType(field.type);
      const ofValue = (value: unknown): number => {
        if (value === null || value === undefined) return 0;
        if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + ofValue(item), 0);
        const below = typeof value === 'object' && isCompositeType(inner) ? ofObject(inner, nodes, value) : 0;
        return Math.max(0, weight + below);
      };
      cost += Math.max(0, costOfArguments?.(argumentsOf(node, variables)) ?? 0);
      cost += ofValue((object as Readonly<Record<string, unknown>>)[name]);
    }
    return cost;
  };

  const root = schema.getRootType(operation.operation);
  if (!root || typeof data !== 'object' || data === null) return 0;
  const collected: Collected = new Map();
  collect(root, operation.selectionSet, collected);
  return (operation.operation === 'mutation' ? mutationCost : 0) + ofCollected(collected, data);
};

/** The fields of one object by their response names. */
type Collected = Map<string, { readonly type: GraphQLCompositeType; readonly nodes: FieldNode[] }>;
