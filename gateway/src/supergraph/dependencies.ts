import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  Kind,
  parse,
  typeFromAST,
  valueFromASTUntyped,
  type GraphQLCompositeType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { argumentsOf } from './links.js';

/**
 * For fields with `@requires` or `@fromContext`, by coordinate such as `Item.tax`: the types, and the
 * coordinates of the fields, from which they get values.
 */
export type Dependencies = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Reads them from a supergraph with its inaccessible parts. `contextDirective` is the name that `@context`
 * has there. Fields of an interface stand for those of all its types.
 */
export const readDependencies = (
  schema: GraphQLSchema,
  contextDirective: string | undefined,
): Dependencies => {
  const dependencies = new Map<string, Set<string>>();
  const contexts = typesOfContexts(schema, contextDirective);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      const found = new Set<string>();
      for (const directive of field.astNode?.directives ?? []) {
        if (directive.name.value !== 'join__field') continue;
        const { requires, contextArguments } = argumentsOf(directive);
        if (typeof requires === 'string') collect(schema, type, fieldSet(requires), found);
        for (const one of Array.isArray(contextArguments) ? contextArguments : []) {
          const { context, selection } = one as { context?: string; selection?: string };
          for (const above of contexts.get(context ?? '') ?? []) {
            collect(schema, above, fieldSet(selection ?? ''), found);
          }
        }
      }
      if (found.size === 0) continue;
      for (const { name } of objectTypesOf(schema, type)) {
        const coordinate = `${name}.${field.name}`;
        dependencies.set(coordinate, new Set([...(dependencies.get(coordinate) ?? []), ...found]));
      }
    }
  }
  return dependencies;
};

/** Returns the types that set each context. */
const typesOfContexts = (
  schema: GraphQLSchema,
  contextDirective: string | undefined,
): ReadonlyMap<string, readonly GraphQLCompositeType[]> => {
  const contexts = new Map<string, GraphQLCompositeType[]>();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isCompositeType(type)) continue;
    for (const { name, arguments: args = [] } of type.astNode?.directives ?? []) {
      if (name.value !== contextDirective) continue;
      const value = args.find((argument) => argument.name.value === 'name')?.value;
      const context = value && String(valueFromASTUntyped(value));
      if (context !== undefined) contexts.set(context, [...(contexts.get(context) ?? []), type]);
    }
  }
  return contexts;
};

const fieldSet = (text: string): SelectionSetNode => {
  const selections = text.trim();
  const [definition] = parse(selections.startsWith('{') ? selections : `{${selections}}`, {
    noLocation: true,
  }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`"${text}" is no field set`);
  return definition.selectionSet;
};

/** Adds the fields of a selection set, with the types that they are on and that they return. */
const collect = (
  schema: GraphQLSchema,
  type: GraphQLCompositeType,
  { selections }: SelectionSetNode,
  found: Set<string>,
): void => {
  for (const { name } of objectTypesOf(schema, type)) found.add(name);
  for (const selection of selections) {
    if (selection.kind === Kind.FRAGMENT_SPREAD) continue;
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const condition = selection.typeCondition ? typeFromAST(schema, selection.typeCondition) : type;
      if (isCompositeType(condition)) collect(schema, condition, selection.selectionSet, found);
      continue;
    }
    for (const one of objectTypesOf(schema, type)) {
      const field = one.getFields()[selection.name.value];
      if (!field) continue;
      found.add(`${one.name}.${field.name}`);
      const returned = getNamedType(field.type);
      found.add(returned.name);
      if (selection.selectionSet && isCompositeType(returned))
        collect(schema, returned, selection.selectionSet, found);
    }
  }
};

const objectTypesOf = (schema: GraphQLSchema, type: GraphQLNamedType): readonly GraphQLObjectType[] => {
  if (isObjectType(type)) return [type];
  return isAbstractType(type) ? schema.getPossibleTypes(type) : [];
};
