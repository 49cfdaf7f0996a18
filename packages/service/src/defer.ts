import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLNonNull,
  GraphQLSchema,
  GraphQLString,
} from 'graphql';

/** Returns the schema with `@defer`, which graphql 16 does not know. The types are the same objects. */
export const withDefer = (schema: GraphQLSchema): GraphQLSchema => {
  if (schema.getDirective('defer')) return schema;
  const defer = new GraphQLDirective({
    name: 'defer',
    description:
      'Delivers the fields of this fragment after the rest of the response, in a part of their own.',
    locations: [DirectiveLocation.FRAGMENT_SPREAD, DirectiveLocation.INLINE_FRAGMENT],
    args: {
      if: {
        type: new GraphQLNonNull(GraphQLBoolean),
        defaultValue: true,
        description: 'If false, the fields are delivered with the rest.',
      },
      label: { type: GraphQLString, description: 'Names the part in the response; unique in the document.' },
    },
  });
  const config = schema.toConfig();
  return new GraphQLSchema({ ...config, directives: [...config.directives, defer] });
};
