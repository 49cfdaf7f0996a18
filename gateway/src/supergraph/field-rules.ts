import type { CostRules, FieldRules } from '@cinegraph/service/list-cost';
import {
  getNamedType,
  isTypeDefinitionNode,
  Kind,
  valueFromASTUntyped,
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
} from 'graphql';

const costSpecification = 'https://specs.apollo.dev/cost/';

/**
 * Reads `@cost` and `@listSize` of a supergraph, under whichever names it imports them. Returns the rules of
 * each field: its size as `@listSize` states it, and its weight from `@cost` of the field or of the type that
 * it returns. Returns undefined if the supergraph does not link the specification.
 */
export const readFieldRules = (supergraph: DocumentNode): CostRules['ofField'] => {
  const names = importedNames(supergraph);
  if (!names) return undefined;
  const ofFields = new Map<string, FieldRules>();
  const weights = new Map<string, number>();
  for (const definition of supergraph.definitions) {
    if (!isTypeDefinitionNode(definition)) continue;
    const type = definition.name.value;
    const weight = weightIn(definition.directives, names.cost);
    if (weight !== undefined) weights.set(type, weight);
    if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.INTERFACE_TYPE_DEFINITION)
      continue;
    for (const field of definition.fields ?? []) {
      ofFields.set(`${type}.${field.name.value}`, rulesIn(field, names));
    }
  }
  return (type, field) => {
    const rules = ofFields.get(`${type.name}.${field.name}`);
    return { ...rules, weight: rules?.weight ?? weights.get(getNamedType(field.type).name) };
  };
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
  const { assumedSize, slicingArguments, sizedFields } = listSize ? argumentsOf(listSize) : {};
  return {
    assumedSize: typeof assumedSize === 'number' ? assumedSize : undefined,
    slicingArguments: textsIn(slicingArguments),
    sizedFields: textsIn(sizedFields),
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
