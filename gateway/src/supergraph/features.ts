import {
  DirectiveLocation,
  GraphQLBoolean,
  GraphQLDirective,
  GraphQLNonNull,
  GraphQLSchema,
  GraphQLString,
  Kind,
  type DirectiveNode,
  type DocumentNode,
} from 'graphql';

/** Specifications that `@apollo/gateway` refuses and our executor executes. */
const executedSpecs: ReadonlySet<string> = new Set(['context']);

/** Specifications that protect fields. Nothing enforces them yet. */
const protectingSpecs: ReadonlySet<string> = new Set(['authenticated', 'requiresScopes', 'policy']);

/**
 * Returns the SDL as `@apollo/gateway` loads it: without the `for:` of those `@link`s that our executor
 * executes. Throws if the supergraph protects fields: they would be served without protection.
 */
export const loadableSdl = (sdl: string, supergraph: DocumentNode): string => {
  let loadable = sdl;
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.SCHEMA_DEFINITION) continue;
    for (const directive of definition.directives ?? []) {
      const url = directive.name.value === 'link' ? urlOf(directive) : undefined;
      const spec = url === undefined ? undefined : /\/([^/]+)\/v[\d.]+$/.exec(url)?.[1];
      if (url === undefined || spec === undefined) continue;
      if (protectingSpecs.has(spec)) {
        throw new Error(
          `the supergraph uses @${spec}, which this gateway does not enforce. Remove it from the subgraphs, or protect these fields in their resolvers.`,
        );
      }
      if (executedSpecs.has(spec)) loadable = withoutPurpose(loadable, url);
    }
  }
  return loadable;
};

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

const urlOf = ({ arguments: args = [] }: DirectiveNode): string | undefined => {
  const value = args.find(({ name }) => name.value === 'url')?.value;
  return value?.kind === Kind.STRING ? value.value : undefined;
};

const withoutPurpose = (sdl: string, url: string): string => {
  const start = sdl.indexOf(`"${url}"`);
  const end = sdl.indexOf(')', start);
  return sdl.slice(0, start) + sdl.slice(start, end).replace(/,?\s*for:\s*\w+/, '') + sdl.slice(end);
};
