import {
  buildASTSchema,
  isInterfaceType,
  isObjectType,
  type ConstDirectiveNode,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import { anyOf, conjunction, implies, type AnyOf } from './any-of.js';
import { argumentsOf, readLinks, type Link } from './links.js';
import { readDependencies, type Dependencies } from './dependencies.js';

/**
 * What a viewer must have: be signed in, or have all scopes or policies of one of several lists, as
 * `@authenticated`, `@requiresScopes` and `@policy` state it.
 */
export type Requirement =
  { readonly kind: 'authenticated' } | { readonly kind: 'scopes' | 'policies'; readonly anyOf: AnyOf };

/** What the types and fields of a supergraph require. Lists have the indexes of requirements in `all`. */
export interface Requirements {
  /** Each requirement once. */
  readonly all: readonly Requirement[];
  /** Returns what an object type, a scalar or an enum requires by itself. A viewer must meet all of it. */
  readonly ofType: (type: string) => readonly number[];
  /**
   * Returns what a field of an object type requires beside its type and the type that it returns. A viewer
   * must meet all of it.
   */
  readonly ofField: (type: string, field: string) => readonly number[];
}

type Indexes = ReadonlySet<number>;

const none: Indexes = new Set();

/**
 * Reads what a supergraph requires of viewers; undefined if it links none of the specifications. Throws if a
 * directive has arguments that are no list of lists.
 *
 * - Composition gives an interface what all its types require together. That is enforced for the type of each
 *   object. What an interface requires beyond that is required by all its types.
 * - A field with `@requires` or `@fromContext` also requires what the fields require whose values it gets.
 */
export const readRequirements = (supergraph: DocumentNode): Requirements | undefined => {
  const links = readLinks(supergraph);
  const kinds = kindsOf(links);
  if (kinds.size === 0) return undefined;
  const schema = buildASTSchema(supergraph, { assumeValid: true, assumeValidSDL: true });
  const all: Requirement[] = [];
  const indexes = new Map<string, number>();
  const indexOf = (requirement: Requirement): number => {
    const key = JSON.stringify(requirement);
    const known = indexes.get(key);
    if (known !== undefined) return known;
    indexes.set(key, all.length);
    return all.push(requirement) - 1;
  };
  /** By type, and by coordinate such as `Item.price`. */
  const stated = new Map<string, Indexes>();
  const state = (key: string, directives: readonly ConstDirectiveNode[] | undefined): void => {
    const found = (directives ?? []).flatMap((directive) => {
      const kind = kinds.get(directive.name.value);
      const requirement = kind && requirementOf(kind, directive, key);
      return requirement ? [indexOf(requirement)] : [];
    });
    if (found.length > 0) stated.set(key, new Set(found));
  };
  for (const type of Object.values(schema.getTypeMap())) {
    state(type.name, type.astNode?.directives);
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      state(`${type.name}.${field.name}`, field.astNode?.directives);
    }
  }
  pushDown(schema, stated, all);
  const context = links.find(({ spec }) => spec === 'context')?.nameOf('context');
  const effective = withDependencies(stated, readDependencies(schema, context));
  const listOf = (key: string): readonly number[] => [...(effective.get(key) ?? none)];
  return { all, ofType: listOf, ofField: (type, field) => listOf(`${type}.${field}`) };
};

/** Returns which directive states which kind of requirement, by the directive's name in the supergraph. */
const kindsOf = (links: readonly Link[]): ReadonlyMap<string, Requirement['kind']> => {
  const kinds = new Map<string, Requirement['kind']>();
  for (const { spec, nameOf } of links) {
    if (spec === 'authenticated') kinds.set(nameOf(spec), 'authenticated');
    if (spec === 'requiresScopes') kinds.set(nameOf(spec), 'scopes');
    if (spec === 'policy') kinds.set(nameOf(spec), 'policies');
  }
  return kinds;
};

/** Returns undefined for a directive that everybody satisfies. */
const requirementOf = (
  kind: Requirement['kind'],
  directive: ConstDirectiveNode,
  where: string,
): Requirement | undefined => {
  if (kind === 'authenticated') return { kind };
  const lists = anyOf(argumentsOf(directive)[kind]);
  if (!lists) {
    throw new Error(
      `@${directive.name.value} of ${where} has no list of lists of names as "${kind}". Compose the supergraph again.`,
    );
  }
  return lists.some((list) => list.length === 0) ? undefined : { kind, anyOf: lists };
};

/** Adds to the types of each interface what it requires and they do not together. */
const pushDown = (schema: GraphQLSchema, stated: Map<string, Indexes>, all: readonly Requirement[]): void => {
  const pushed = new Map<string, Set<number>>();
  const push = (from: string, to: readonly string[]): void => {
    const together = to.flatMap((key) => [...(stated.get(key) ?? none)]).map((index) => all[index]);
    for (const index of stated.get(from) ?? none) {
      const requirement = all[index];
      if (!requirement || isMet(requirement, together)) continue;
      for (const key of to) pushed.set(key, (pushed.get(key) ?? new Set()).add(index));
    }
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isInterfaceType(type)) continue;
    const types = schema.getPossibleTypes(type).map(({ name }) => name);
    push(type.name, types);
    for (const field of Object.keys(type.getFields())) {
      push(
        `${type.name}.${field}`,
        types.map((name) => `${name}.${field}`),
      );
    }
  }
  for (const [key, more] of pushed) stated.set(key, new Set([...(stated.get(key) ?? none), ...more]));
};

/** Returns true if a viewer who meets all of `others` meets the requirement. */
const isMet = (requirement: Requirement, others: readonly (Requirement | undefined)[]): boolean => {
  if (requirement.kind === 'authenticated') return others.some((other) => other?.kind === 'authenticated');
  const together = others.flatMap((other) =>
    other && other.kind !== 'authenticated' && other.kind === requirement.kind ? [other.anyOf] : [],
  );
  return implies(conjunction(together), requirement.anyOf);
};

/** Adds to each field what the fields require from which it gets values, directly or through others. */
const withDependencies = (
  stated: ReadonlyMap<string, Indexes>,
  dependencies: Dependencies,
): ReadonlyMap<string, Indexes> => {
  const effective = new Map(stated);
  for (const coordinate of dependencies.keys()) {
    const reached = new Set<string>([coordinate]);
    // A set visits what is added while it is visited.
    for (const one of reached) for (const next of dependencies.get(one) ?? []) reached.add(next);
    effective.set(coordinate, new Set([...reached].flatMap((one) => [...(stated.get(one) ?? none)])));
  }
  return effective;
};
