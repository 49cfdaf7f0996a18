import { isInputObjectType, Kind, type DocumentNode, type GraphQLSchema } from 'graphql';

/**
 * Marks the inputs of an API schema that have `@oneOf` in the supergraph, so that validation accepts exactly
 * one field of them and introspection shows it. The schema that federation derives from a supergraph does not
 * know the directive.
 */
export const markOneOfInputs = (schema: GraphQLSchema, supergraph: DocumentNode): void => {
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.INPUT_OBJECT_TYPE_DEFINITION) continue;
    if (!definition.directives?.some(({ name }) => name.value === 'oneOf')) continue;
    const type = schema.getType(definition.name.value);
    if (isInputObjectType(type)) type.isOneOf = true;
  }
};
