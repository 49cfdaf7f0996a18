import {
  BREAK,
  doTypesOverlap,
  isCompositeType,
  OperationTypeNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';

/** Fields of a subgraph's schema that depend on nothing. */
const plainFields: ReadonlySet<string> = new Set(['__typename', '_entities']);

/**
 * Returns a function that says whether a document for a subgraph depends on who asks: if it is no query, or
 * selects one of `fields`, which are coordinates like `Query.me`, also on another type that has objects of
 * the same type. A selection on a type that `schema` does not have counts as one. If `fields` is empty, every
 * document depends on it.
 */
export const readClientFields = (
  schema: GraphQLSchema,
  fields: readonly string[],
): ((document: DocumentNode) => boolean) => {
  const typesByField = new Map<string, string[]>();
  for (const coordinate of fields) {
    const [type = '', field = ''] = coordinate.split('.');
    typesByField.set(field, [...(typesByField.get(field) ?? []), type]);
  }
  return (document) => {
    let depends = fields.length === 0;
    const types = new TypeInfo(schema);
    const isListed = (field: string): boolean => {
      const parent = types.getParentType();
      if (!parent) return true;
      return (typesByField.get(field) ?? []).some((name) => {
        const type = schema.getType(name);
        return isCompositeType(type) && doTypesOverlap(schema, type, parent);
      });
    };
    const visitor = visitWithTypeInfo(types, {
      OperationDefinition: ({ operation }) => {
        depends ||= operation !== OperationTypeNode.QUERY;
        return depends ? BREAK : undefined;
      },
      Field: ({ name }) => {
        depends = !plainFields.has(name.value) && isListed(name.value);
        return depends ? BREAK : undefined;
      },
    });
    visit(document, visitor);
    return depends;
  };
};
