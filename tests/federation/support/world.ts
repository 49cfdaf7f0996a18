import {
  getNamedType,
  getNullableType,
  GraphQLError,
  isAbstractType,
  isEnumType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  parse,
  type GraphQLOutputType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import type { StubResolvers } from '../../../gateway/test/support/stub-subgraph.js';

type Arguments = Readonly<Record<string, unknown>>;
type Json = Readonly<Record<string, unknown>>;

/** An object of the world. An id starts with the name of its type, and all its values follow from it. */
export interface Source {
  readonly __typename: string;
  readonly id: string;
  readonly parent: Source | undefined;
  /** What the gateway sent for it, if it did. */
  readonly representation?: Json;
}

/** What a world must know beside its schema; fields are named `Type.field`. */
export interface WorldRules {
  /** Fields that are keys, or parts of keys. They are texts that hold the id. */
  readonly keys?: readonly string[];
  /** Names of further fields that never fail, because keys are below them. */
  readonly stable?: readonly string[];
  /** The selections of `@requires`; such a field is a text that holds the values of the selection. */
  readonly requires?: Readonly<Record<string, string>>;
  /** The arguments from `@fromContext`, with the type and field from which they come. */
  readonly contexts?: Readonly<
    Record<string, Readonly<Record<string, readonly [type: string, field: string]>>>
  >;
}

/**
 * Data for every field of a schema: the value follows from the id of the object, the field and the arguments,
 * so that subgraphs and a monolith agree. Some values are null, and some fields fail.
 */
export interface World {
  readonly root: (typename: string) => Source;
  /** Resolves a field as the monolith does. `type` is used for fields that the API schema does not have. */
  readonly resolve: (source: Source, field: string, args: Arguments, type: GraphQLOutputType) => unknown;
  /** Returns resolvers for the SDL of a subgraph. */
  readonly resolversOf: (sdl: string) => StubResolvers;
}

/** How many objects each type with an id has. */
const objectsOfType = 4;

/** FNV-1a, mixed once more, so that neighbours differ in all bits. */
const hash = (text: string): number => {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
};

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

/** Creates the data of an API schema. */
export const createWorld = (api: GraphQLSchema, rules: WorldRules = {}): World => {
  const { keys = [], stable = [], requires = {}, contexts = {} } = rules;
  const required = new Set<string>(stable);
  const selectionOf = new Map(
    Object.entries(requires).map(([name, text]) => [
      name,
      (parse(`{${text}}`).definitions[0] as { selectionSet: SelectionSetNode }).selectionSet,
    ]),
  );
  const collect = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) required.add(selection.name.value);
      if (selection.kind !== Kind.FRAGMENT_SPREAD && selection.selectionSet) collect(selection.selectionSet);
    }
  };
  for (const selectionSet of selectionOf.values()) collect(selectionSet);

  const fieldTypeOf = (typename: string, field: string): GraphQLOutputType | undefined => {
    const type = api.getType(typename);
    return type && 'getFields' in type
      ? (type.getFields()[field]?.type as GraphQLOutputType | undefined)
      : undefined;
  };

  const resolve: World['resolve'] = (source, field, args, type) => {
    const name = `${source.__typename}.${field}`;
    if (field === 'id') return source.id;
    if (keys.includes(name)) return `${field}-${source.id}`;
    const selection = selectionOf.get(name);
    if (selection) {
      const values = source.representation ? pick(selection, source.representation) : read(selection, source);
      return `${field} of ${canonical(values)}`;
    }
    const text = `${source.id}|${field}|${canonical({ ...args, ...contextOf(name, source, args) })}`;
    const declared = fieldTypeOf(source.__typename, field) ?? type;
    return valueOf(text, declared, source, !required.has(field));
  };

  const contextOf = (name: string, source: Source, args: Arguments): Arguments =>
    Object.fromEntries(
      Object.entries(contexts[name] ?? {}).flatMap(([argument, [typename, field]]) => {
        if (Object.hasOwn(args, argument)) return [];
        let parent: Source | undefined = source;
        while (parent && parent.__typename !== typename) parent = parent.parent;
        const type = fieldTypeOf(typename, field);
        return parent && type ? [[argument, resolve(parent, field, {}, type)]] : [];
      }),
    );

  const valueOf = (text: string, type: GraphQLOutputType, source: Source, mayFail: boolean): unknown => {
    const seed = hash(text);
    if (mayFail && seed % (isNonNullType(type) ? 61 : 17) === 1) {
      throw new GraphQLError('Not for you.', { extensions: { code: 'FORBIDDEN' } });
    }
    if (!isNonNullType(type) && seed % 9 === 2) return null;
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      return Array.from({ length: seed % 4 }, (_, index) =>
        itemOf(`${text}|${index}`, nullable.ofType, source),
      );
    }
    return oneOf(text, seed >>> 3, getNamedType(nullable).name, source);
  };

  const itemOf = (text: string, type: GraphQLOutputType, source: Source): unknown => {
    try {
      return valueOf(text, type, source, !isNonNullType(type));
    } catch (error) {
      return error;
    }
  };

  const oneOf = (text: string, seed: number, typename: string, source: Source): unknown => {
    const type = api.getType(typename);
    if (isEnumType(type)) return type.getValues()[seed % type.getValues().length]?.name;
    if (isAbstractType(type)) {
      const possible = api.getPossibleTypes(type);
      return oneOf(text, seed >>> 4, possible[seed % possible.length]?.name ?? '', source);
    }
    if (isObjectType(type)) {
      const hasId = type.getFields()['id'] !== undefined;
      const id = hasId ? `${typename}:${seed % objectsOfType}` : `${typename}:${text}`;
      return { __typename: typename, id, parent: source } satisfies Source;
    }
    switch (typename) {
      case 'Int':
        return seed % 1000;
      case 'Float':
        return (seed % 1000) / 8;
      case 'Boolean':
        return seed % 2 === 0;
      default:
        return `${typename} ${seed % 1000}`;
    }
  };

  /** Reads a selection as the monolith resolves it. */
  const read = (selectionSet: SelectionSetNode, source: unknown): unknown => {
    if (Array.isArray(source)) return source.map((item: unknown) => read(selectionSet, item));
    if (typeof source !== 'object' || source === null) return null;
    return Object.fromEntries(
      selectionSet.selections.flatMap((selection) => {
        if (selection.kind !== Kind.FIELD) return [];
        const field = selection.name.value;
        const declared = fieldTypeOf((source as Source).__typename, field) ?? hiddenType;
        const args = Object.fromEntries(
          (selection.arguments ?? []).map(({ name, value }) => [
            name.value,
            'value' in value ? value.value : null,
          ]),
        );
        const value = resolve(
          source as Source,
          field,
          { ...defaultsOf(source as Source, field), ...args },
          declared,
        );
        return [[field, selection.selectionSet ? read(selection.selectionSet, value) : value]];
      }),
    );
  };

  const defaultsOf = ({ __typename }: Source, field: string): Arguments => {
    const type = api.getType(__typename);
    const args = isObjectType(type) ? (type.getFields()[field]?.args ?? []) : [];
    return Object.fromEntries(
      args.flatMap(({ name, defaultValue }) => (defaultValue === undefined ? [] : [[name, defaultValue]])),
    );
  };

  /** The type of required fields that clients cannot see. */
  const hiddenType = api.getType('String') as GraphQLOutputType;

  const resolversOf: World['resolversOf'] = (sdl) => {
    const resolvers: Record<string, Record<string, unknown>> = {};
    for (const definition of parse(sdl).definitions) {
      if (
        definition.kind === Kind.UNION_TYPE_DEFINITION ||
        definition.kind === Kind.INTERFACE_TYPE_DEFINITION
      ) {
        resolvers[definition.name.value] = {
          __resolveType: ({ __typename }: Source) => __typename,
          ...(definition.directives?.some(({ name }) => name.value === 'key') && {
            __resolveReference: fromReference,
          }),
        };
      }
      if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.OBJECT_TYPE_EXTENSION)
        continue;
      const typename = definition.name.value;
      const own = (resolvers[typename] ??= { __resolveReference: fromReference });
      if (['Query', 'Mutation'].includes(typename)) delete own['__resolveReference'];
      for (const { name } of definition.fields ?? []) {
        own[name.value] = (
          source: Source | undefined,
          args: Arguments,
          _context: unknown,
          { returnType }: { returnType: GraphQLOutputType },
        ) => resolve(source ?? root(typename), name.value, args, returnType);
      }
    }
    return resolvers as StubResolvers;
  };

  const root = (typename: string): Source => ({ __typename: typename, id: typename, parent: undefined });
  return { root, resolve, resolversOf };
};

/** Returns the parts of a representation that a selection has. */
const pick = (selectionSet: SelectionSetNode, value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((item: unknown) => pick(selectionSet, item));
  if (typeof value !== 'object' || value === null) return null;
  return Object.fromEntries(
    selectionSet.selections.flatMap((selection) => {
      if (selection.kind !== Kind.FIELD) return [];
      const field = (value as Record<string, unknown>)[selection.name.value];
      const isMissing = field === undefined;
      return [
        [
          selection.name.value,
          isMissing ? 'missing' : selection.selectionSet ? pick(selection.selectionSet, field) : field,
        ],
      ];
    }),
  );
};

/** Returns the object of a representation: its id, or the id that is in another key. */
const fromReference = (representation: Json): Source => {
  const text = canonical(representation);
  const id =
    typeof representation['id'] === 'string'
      ? representation['id']
      : (/"sku-([^"]+)"/.exec(text)?.[1] ?? /"code-Ref:([^"|]+)\|/.exec(text)?.[1]);
  if (id === undefined) throw new Error(`no key is in ${text}`);
  return { __typename: id.split(':')[0] ?? '', id, parent: undefined, representation };
};
