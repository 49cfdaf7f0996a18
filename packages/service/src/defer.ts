import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLError,
  GraphQLNonNull,
  GraphQLSchema,
  GraphQLString,
  Kind,
  type ASTVisitor,
  type DirectiveNode,
  type ValidationContext,
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

/**
 * Validates what the signature of `@defer` does not say: the label is a literal and stands once in the
 * document, and neither a subscription nor the root fields of a mutation are deferred. A mutation's root
 * fields run in their order before anything is returned.
 */
export const deferRules = (context: ValidationContext): ASTVisitor => {
  const labels = new Set<string>();
  const report = (message: string, node: DirectiveNode): void =>
    context.reportError(new GraphQLError(message, { nodes: node }));
  /** The operation that is visited; fragments are checked through their root type. */
  let isSubscription = false;
  return {
    OperationDefinition: ({ operation }) => {
      isSubscription = operation === 'subscription';
    },
    FragmentDefinition: () => {
      isSubscription = false;
    },
    Directive: (directive) => {
      if (directive.name.value !== 'defer') return;
      const label = directive.arguments?.find(({ name }) => name.value === 'label')?.value;
      if (label && label.kind !== Kind.STRING && label.kind !== Kind.NULL)
        report('The label of @defer must be a string in the document, and no variable.', directive);
      if (label?.kind === Kind.STRING) {
        if (labels.has(label.value))
          report('Each label of @defer must be unique in the document.', directive);
        labels.add(label.value);
      }
      const parent = context.getParentType();
      const schema = context.getSchema();
      if (parent && parent === schema.getMutationType())
        report('@defer cannot be used on root fields of a mutation. Use it below them.', directive);
      if (isSubscription || (parent && parent === schema.getSubscriptionType()))
        report('@defer cannot be used in a subscription.', directive);
    },
  };
};
