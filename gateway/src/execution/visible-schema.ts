import {
  buildASTSchema,
  getNamedType,
  isCompositeType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  Kind,
  parse,
  printSchema,
  visit,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Requirements } from '../supergraph/requirements.js';
import { accessOf, outcomeOf, type Access, type Rights } from './access.js';

/** Viewers of this number of different rights have their schema at hand; it is made again for others. */
const maxSchemas = 32;

/** Returns a function that returns the schema with the types and fields that somebody may see. */
export const createVisibleSchemas = (
  schema: GraphQLSchema,
  requirements: Requirements | undefined,
): ((rights: Rights) => GraphQLSchema) => {
  if (!requirements) return () => schema;
  const indexes = requirements.all.map((_requirement, index) => index);
  const known = new LRUCache<string, GraphQLSchema>({ max: maxSchemas });
  return (rights) => {
    const outcome = outcomeOf(requirements, indexes, rights);
    const access = accessOf(schema, requirements, indexes, outcome);
    if (!access) return schema;
    const found = known.get(outcome) ?? visibleSchema(schema, access);
    known.set(outcome, found);
    return found;
  };
};

/**
 * Returns a schema without the fields that may not be seen, and without the types that nothing else uses. An
 * interface has the fields that may be seen on all its types that may be seen.
 */
const visibleSchema = (schema: GraphQLSchema, access: Access): GraphQLSchema => {
  const fields = visibleFields(schema, access);
  const types = reachableTypes(schema, access, fields);
  const isShown = ({ name }: { name: { value: string } }): boolean => types.has(name.value);
  const shown = visit(parse(printSchema(schema), { noLocation: true }), {
    enter: (node) => {
      switch (node.kind) {
        case Kind.OBJECT_TYPE_DEFINITION:
        case Kind.INTERFACE_TYPE_DEFINITION: {
          if (!isShown(node)) return null;
          const ofType = fields.get(node.name.value);
          return {
            ...node,
            interfaces: node.interfaces?.filter(isShown),
            fields: node.fields?.filter(({ name }) => ofType?.has(name.value)),
          };
        }
        case Kind.UNION_TYPE_DEFINITION:
          return isShown(node) ? { ...node, types: node.types?.filter(isShown) } : null;
        case Kind.SCALAR_TYPE_DEFINITION:
        case Kind.ENUM_TYPE_DEFINITION:
        case Kind.INPUT_OBJECT_TYPE_DEFINITION:
          return isShown(node) ? undefined : null;
        case Kind.OPERATION_TYPE_DEFINITION:
          return isShown(node.type) ? undefined : null;
        default:
          return undefined;
      }
    },
  });
  const visible = buildASTSchema(shown, { assumeValid: true, assumeValidSDL: true });
  for (const type of Object.values(visible.getTypeMap())) {
    const original = schema.getType(type.name);
    if (isInputObjectType(type) && isInputObjectType(original)) type.isOneOf = original.isOneOf;
  }
  return visible;
};

type Fields = ReadonlyMap<string, ReadonlyMap<string, GraphQLField<unknown, unknown>>>;

/** Returns the fields of each object type and interface. A field of a type without fields is left out. */
const visibleFields = (schema: GraphQLSchema, access: Access): Fields => {
  const fields = new Map<string, Map<string, GraphQLField<unknown, unknown>>>();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    const types = isObjectType(type) ? [type] : schema.getPossibleTypes(type).filter(access.seesType);
    const seen = Object.values(type.getFields()).filter(({ name }) =>
      types.every((one) => access.seesField(one, name)),
    );
    fields.set(type.name, new Map(seen.map((field) => [field.name, field])));
  }
  for (let changed = true; changed;) {
    changed = false;
    for (const ofType of fields.values()) {
      for (const [name, { type }] of ofType) {
        if (fields.get(getNamedType(type).name)?.size === 0) changed = ofType.delete(name);
      }
    }
  }
  return fields;
};

/** Returns the names of the types that clients can reach from the root types and from directives. */
const reachableTypes = (schema: GraphQLSchema, access: Access, fields: Fields): ReadonlySet<string> => {
  const reached = new Set<string>();
  const reach = (type: GraphQLNamedType): void => {
    // A scalar or an enum that may not be seen is still the type of arguments.
    if (reached.has(type.name) || (isCompositeType(type) && !access.seesType(type))) return;
    if (fields.get(type.name)?.size === 0 && type !== schema.getQueryType()) return;
    reached.add(type.name);
    for (const field of fields.get(type.name)?.values() ?? []) {
      reach(getNamedType(field.type));
      for (const argument of field.args) reach(getNamedType(argument.type));
    }
    if (isObjectType(type) || isInterfaceType(type)) type.getInterfaces().forEach(reach);
    if (isInterfaceType(type) || isUnionType(type)) schema.getPossibleTypes(type).forEach(reach);
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) reach(getNamedType(field.type));
    }
  };
  for (const root of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    if (root) reach(root);
  }
  const query = schema.getQueryType();
  if (query) reached.add(query.name);
  for (const { args } of schema.getDirectives()) for (const { type } of args) reach(getNamedType(type));
  return reached;
};
