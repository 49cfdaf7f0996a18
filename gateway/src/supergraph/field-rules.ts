import type { ArgumentValue, FieldRules } from '@cinegraph/service/list-cost';
import {
  getNamedType,
  isCompositeType,
  isInputObjectType,
  isTypeDefinitionNode,
  Kind,
  valueFromASTUntyped,
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedInputType,
  type TypeDefinitionNode,
} from 'graphql';

/** Returns the size and the weight of a field; the weight is always there. */
export type CostOfField = (
  type: GraphQLCompositeType,
  field: GraphQLField<unknown, unknown>,
) => FieldRules & { readonly weight: number };

const costSpecification = 'https://specs.apollo.dev/cost/';

/**
 * Reads `@cost` and `@listSize` of a supergraph, under whichever names it imports them. Returns the rules of
 * each field: its size as `@listSize` states it, and its weight from `@cost` of the field or of the type that
 * it returns. Without a weight, an object costs 1 and a scalar or enum value 0; an input object in an
 * argument costs 1, and other arguments 0. An interface or union costs as much as its most expensive type,
 * and so does a field of an interface without rules of its own.
 */
export const readFieldRules = (supergraph: DocumentNode): CostOfField => {
  const { ofFields, ofTypes, ofInputs } = readRules(supergraph);
  // Without recursion, because a client decides how deep a value is.
  const costOfInput = (input: GraphQLInputType, whole: unknown, argument: string): number => {
    const open: InputValue[] = [{ type: getNamedType(input), value: whole, coordinate: argument }];
    let cost = 0;
    for (let next = open.pop(); next; next = open.pop()) {
      const { type, value, coordinate } = next;
      if (value === undefined || value === null) continue;
      if (Array.isArray(value)) {
        for (const item of value as readonly unknown[]) open.push({ type, value: item, coordinate });
        continue;
      }
      const weight = ofInputs.get(coordinate) ?? ofTypes.get(type.name);
      cost += weight ?? (isInputObjectType(type) ? 1 : 0);
      if (!isInputObjectType(type) || typeof value !== 'object') continue;
      for (const field of Object.values(type.getFields())) {
        open.push({
          type: getNamedType(field.type),
          value: (value as Readonly<Record<string, unknown>>)[field.name],
          coordinate: `${type.name}.${field.name}`,
        });
      }
    }
    return cost;
  };
  return (type, field) => {
    const coordinate = `${type.name}.${field.name}`;
    const rules = ofFields.get(coordinate);
    const named = getNamedType(field.type);
    const weight = rules?.weight ?? ofTypes.get(named.name) ?? (isCompositeType(named) ? 1 : 0);
    const costOfArguments = (value: ArgumentValue): number => {
      let cost = 0;
      for (const argument of field.args) {
        const position = `${coordinate}(${argument.name})`;
        // No other value is read: a cost that depends on fewer variables is measured less often.
        if (!ofInputs.has(position) && !hasCost(argument.type)) continue;
        cost += costOfInput(argument.type, value(argument.name), position);
      }
      return cost;
    };
    const hasCost = (input: GraphQLInputType): boolean =>
      isInputObjectType(getNamedType(input)) || ofTypes.has(getNamedType(input).name);
    return { ...rules, weight, costOfArguments };
  };
};

interface InputValue {
  readonly type: GraphQLNamedInputType;
  readonly value: unknown;
  readonly coordinate: string;
}

interface Rules {
  /** By `Type.field`. */
  readonly ofFields: Map<string, FieldRules>;
  /** The weights of types by name. */
  readonly ofTypes: Map<string, number>;
  /** The weights of arguments by `Type.field(argument)`, and of input fields by `Type.field`. */
  readonly ofInputs: Map<string, number>;
}

const readRules = (supergraph: DocumentNode): Rules => {
  const rules: Rules = { ofFields: new Map(), ofTypes: new Map(), ofInputs: new Map() };
  const names = importedNames(supergraph);
  if (!names) return rules;
  const { ofFields, ofTypes, ofInputs } = rules;
  const types = supergraph.definitions.filter(isTypeDefinitionNode);
  for (const definition of types) {
    const type = definition.name.value;
    setWeight(ofTypes, type, weightIn(definition.directives, names.cost));
    if (definition.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION) {
      for (const field of definition.fields ?? [])
        setWeight(ofInputs, `${type}.${field.name.value}`, weightIn(field.directives, names.cost));
    }
    for (const field of fieldsOf(definition)) {
      const coordinate = `${type}.${field.name.value}`;
      ofFields.set(coordinate, rulesIn(field, names));
      for (const argument of field.arguments ?? []) {
        const position = `${coordinate}(${argument.name.value})`;
        setWeight(ofInputs, position, weightIn(argument.directives, names.cost));
      }
    }
  }
  for (const definition of types) {
    for (const abstract of abstractTypesOf(definition, types)) {
      setWeight(ofTypes, abstract, larger(ofTypes.get(abstract), ofTypes.get(definition.name.value)));
      // An operation may name the interface instead, which must not cost less.
      for (const field of fieldsOf(definition)) {
        const coordinate = `${abstract}.${field.name.value}`;
        const here = ofFields.get(`${definition.name.value}.${field.name.value}`);
        const there = ofFields.get(coordinate);
        if (here && there) ofFields.set(coordinate, together(there, here));
      }
    }
  }
  return rules;
};

const fieldsOf = (definition: TypeDefinitionNode): readonly FieldDefinitionNode[] =>
  definition.kind === Kind.OBJECT_TYPE_DEFINITION || definition.kind === Kind.INTERFACE_TYPE_DEFINITION
    ? (definition.fields ?? [])
    : [];

/** Returns the names of the interfaces and unions to which an object type belongs. */
const abstractTypesOf = (
  definition: TypeDefinitionNode,
  types: readonly TypeDefinitionNode[],
): readonly string[] => {
  if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION) return [];
  const unions = types.filter(
    (type) =>
      type.kind === Kind.UNION_TYPE_DEFINITION &&
      type.types?.some(({ name }) => name.value === definition.name.value),
  );
  return [...(definition.interfaces ?? []), ...unions].map(({ name }) => name.value);
};

const together = (a: FieldRules, b: FieldRules): FieldRules => ({
  assumedSize: larger(a.assumedSize, b.assumedSize),
  slicingArguments: a.slicingArguments ?? b.slicingArguments,
  sizedFields: a.sizedFields ?? b.sizedFields,
  requiresOneSlicingArgument: a.requiresOneSlicingArgument,
  weight: larger(a.weight, b.weight),
});

const larger = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);

const setWeight = (weights: Map<string, number>, name: string, weight: number | undefined): void => {
  if (weight !== undefined) weights.set(name, weight);
};

interface DirectiveNames {
  readonly cost: string;
  readonly listSize: string;
}

/** Returns the names of the directives here: imported, renamed, or with the prefix of the link. */
const importedNames = (supergraph: DocumentNode): DirectiveNames | undefined => {
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.SCHEMA_DEFINITION && definition.kind !== Kind.SCHEMA_EXTENSION) continue;
    for (const directive of definition.directives ?? []) {
      const { url, as = 'cost', import: imports } = argumentsOf(directive);
      if (directive.name.value !== 'link' || !String(url).startsWith(costSpecification)) continue;
      const nameOf = (name: string, unimported: string): string => {
        for (const one of Array.isArray(imports) ? imports : []) {
          if (one === `@${name}`) return name;
          const { name: original, as: renamed } = (one ?? {}) as { name?: string; as?: string };
          if (original === `@${name}`) return (renamed ?? original).slice(1);
        }
        return unimported;
      };
      return { cost: nameOf('cost', String(as)), listSize: nameOf('listSize', `${String(as)}__listSize`) };
    }
  }
  return undefined;
};

const rulesIn = (field: FieldDefinitionNode, names: DirectiveNames): FieldRules => {
  const listSize = field.directives?.find(({ name }) => name.value === names.listSize);
  const { assumedSize, slicingArguments, sizedFields, requireOneSlicingArgument } = listSize
    ? argumentsOf(listSize)
    : {};
  const sizes = textsIn(slicingArguments);
  return {
    assumedSize: typeof assumedSize === 'number' ? assumedSize : undefined,
    slicingArguments: sizes,
    sizedFields: textsIn(sizedFields),
    requiresOneSlicingArgument: sizes !== undefined && requireOneSlicingArgument !== false,
    weight: weightIn(field.directives, names.cost),
  };
};

const weightIn = (
  directives: readonly ConstDirectiveNode[] | undefined,
  cost: string,
): number | undefined => {
  const directive = directives?.find(({ name }) => name.value === cost);
  const { weight } = directive ? argumentsOf(directive) : {};
  return typeof weight === 'number' ? weight : undefined;
};

const textsIn = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined;

const argumentsOf = (directive: ConstDirectiveNode): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    directive.arguments?.map(({ name, value }) => [name.value, valueFromASTUntyped(value)]) ?? [],
  );
