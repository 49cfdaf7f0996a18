import { Kind, valueFromASTUntyped, type ConstDirectiveNode, type DocumentNode } from 'graphql';

/** A specification that a supergraph links. */
export interface Link {
  readonly url: string;
  /** The name of the specification, such as `authenticated`. */
  readonly spec: string;
  /** Its version, such as `v0.1`, or `no version`. */
  readonly version: string;
  /** Returns the name that one of its directives has in the supergraph; `name` is without its `@`. */
  readonly nameOf: (name: string) => string;
}

const specification = /^https:\/\/specs\.apollo\.dev\/([^/]+)(?:\/(v[\d.]+))?\/*$/;

/**
 * Returns the specifications of specs.apollo.dev that a supergraph links. A directive is named as the link
 * imports it. One that is not imported has the prefix of the link, or is the prefix if it has the name of the
 * specification.
 */
export const readLinks = (supergraph: DocumentNode): Link[] =>
  supergraph.definitions.flatMap((definition) =>
    definition.kind === Kind.SCHEMA_DEFINITION || definition.kind === Kind.SCHEMA_EXTENSION
      ? (definition.directives ?? []).flatMap(linkOf)
      : [],
  );

/** The name of `@link` is not compared, because a supergraph may import it under another one. */
const linkOf = (directive: ConstDirectiveNode): Link[] => {
  const { url, as, import: imports } = argumentsOf(directive);
  const [, spec, version = 'no version'] = typeof url === 'string' ? (specification.exec(url) ?? []) : [];
  if (typeof url !== 'string' || spec === undefined) return [];
  const prefix = typeof as === 'string' ? as : spec;
  const nameOf = (name: string): string => {
    for (const one of Array.isArray(imports) ? imports : []) {
      if (one === `@${name}`) return name;
      const { name: original, as: renamed } = (one ?? {}) as { name?: string; as?: string };
      if (original === `@${name}`) return (renamed ?? original).slice(1);
    }
    return name === spec ? prefix : `${prefix}__${name}`;
  };
  return [{ url, spec, version, nameOf }];
};

/** Returns the arguments of a directive by name. */
export const argumentsOf = ({
  arguments: args = [],
}: ConstDirectiveNode): Readonly<Record<string, unknown>> =>
  Object.fromEntries(args.map(({ name, value }) => [name.value, valueFromASTUntyped(value)]));
