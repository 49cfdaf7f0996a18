import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildASTSchema,
  execute,
  getNamedType,
  parse,
  print,
  printSchema,
  visit,
  type ExecutionResult,
  type GraphQLFieldResolver,
  type GraphQLSchema,
} from 'graphql';
import { seededRandom } from '@cinegraph/testing/seed';
import { bearerOf, testIssuer } from '@cinegraph/testing/tokens';
import { everyDirective, everyDirectiveRules } from './every-directive.js';
import { generateOperation } from './generator.js';
import { printOperation, shrink, type GeneratedOperation } from './shrink.js';
import { composeSubgraphs, linked, startSupergraph, type Answer, type Supergraph } from './supergraph.js';
import { createWorld, type Source, type World, type WorldRules } from './world.js';

/** The result of a differential run. */
export interface Differential {
  readonly compared: number;
  /** Operations that the gateway refused as too complex. */
  readonly refused: number;
  /** How many of the compared operations had errors. */
  readonly withErrors: number;
  /** The differences, each with the smallest operation that has one. */
  readonly differences: readonly string[];
}

/** A supergraph over generated data, and a monolith over the same data. */
export interface Compared {
  /** Compares the answers to generated operations. */
  run(count: number): Promise<Differential>;
  stop(): Promise<void>;
}

const schemaOf = (subgraph: string): string =>
  readFileSync(join(import.meta.dirname, '../../../subgraphs', subgraph, 'schema.graphql'), 'utf8');

/** The supergraphs that are compared: names, the SDLs of subgraphs by name, and the rules of the data. */
export const comparedGraphs: readonly (readonly [string, Readonly<Record<string, string>>, WorldRules])[] = [
  ['a supergraph with every directive of federation', everyDirective, everyDirectiveRules],
  [
    'the movie graph',
    { metadata: schemaOf('metadata'), rating: schemaOf('rating'), users: schemaOf('users') },
    {},
  ],
];

/**
 * The seed of the generated operations, so that a test fails for a change and not by chance. To search for
 * faults, run the tests with other seeds and more operations: `TEST_SEED=7 TEST_OPERATIONS=5000`.
 */
export const usualSeed = 5;

/** The headers of somebody who may do everything: the monolith protects nothing. */
export const editor = bearerOf('editor', { scopes: ['catalogue:write'] });

/**
 * Starts subgraphs with these SDLs over one world. Each subgraph also sends, in every object, fields that the
 * gateway did not ask for.
 */
export const startWorld = async (
  sdls: Readonly<Record<string, string>>,
  rules: WorldRules = {},
): Promise<{ supergraph: Supergraph; world: World }> => {
  const composed = composeSubgraphs(
    Object.entries(sdls).map(([name, sdl]) => ({ name, url: `http://${name}`, typeDefs: linked(sdl) })),
  );
  const world = createWorld(composed.apiSchema(), rules);
  const supergraph = await startSupergraph(
    Object.fromEntries(
      Object.entries(sdls).map(([name, sdl]) => [
        name,
        {
          sdl,
          resolvers: world.resolversOf(sdl),
          answer: async (_request: unknown, run: () => Promise<ExecutionResult>) =>
            JSON.stringify(withNoise(await run())),
        },
      ]),
    ),
    { JWT_ISSUERS: testIssuer },
    editor,
  );
  return { supergraph, world };
};

/** Starts a supergraph over generated data, and a monolith over the same data. */
export const startCompared = async (
  what: string,
  sdls: Readonly<Record<string, string>>,
  rules: WorldRules = {},
): Promise<Compared> => {
  const { supergraph, world } = await startWorld(sdls, rules);
  const random = seededRandom(what, usualSeed);
  const askMonolith = createMonolith(supergraph.schema, world);
  const differenceOf = async (operation: GeneratedOperation): Promise<string | undefined> => {
    const answer = await supergraph.ask(print(operation.document), operation.variables);
    return compare(answer, askMonolith(operation));
  };
  const explain = async (operation: GeneratedOperation, difference: string): Promise<string> => {
    const smallest = await shrink(supergraph.schema, operation, async (candidate) => {
      const found = await differenceOf(candidate);
      return found !== undefined && found !== 'refused';
    });
    return `${printOperation(smallest)}\n${(await differenceOf(smallest)) ?? difference}`;
  };
  return {
    stop: supergraph.stop,
    run: async (count) => {
      const result = { compared: 0, refused: 0, withErrors: 0, differences: [] as string[] };
      while (result.compared + result.refused < count && result.differences.length < maxDifferences) {
        // Several at a time: the gateway plans in another thread.
        const operations = Array.from({ length: 5 }, () => generateOperation(supergraph.schema, random));
        const found = await Promise.all(operations.map(differenceOf));
        for (const [index, operation] of operations.entries()) {
          const difference = found[index];
          if (difference === 'refused') result.refused += 1;
          else result.compared += 1;
          if (askMonolith(operation).paths.length > 0) result.withErrors += 1;
          if (difference === undefined || difference === 'refused') continue;
          result.differences.push(await explain(operation, difference));
        }
      }
      return result;
    },
  };
};

/** A run ends after this number of differences; one fault usually causes many. */
const maxDifferences = 5;

type Path = readonly (string | number)[];

interface Expected {
  readonly data: unknown;
  readonly paths: readonly Path[];
  /** The paths of all fields that fail, also below a field that is removed for another one. */
  readonly possible: ReadonlySet<string>;
}

/** Says which fields and types of a monolith throw; `field` is undefined for the type itself. */
export type Refuses = (type: string, field?: string) => boolean;

/** Executes operations with graphql-js on one schema over the world. */
export const createMonolith = (schema: GraphQLSchema, world: World) => {
  const nullable = withNullableFields(schema);
  const fieldResolver: GraphQLFieldResolver<Source | undefined, unknown> = (
    source,
    args: Readonly<Record<string, unknown>>,
    _,
    info,
  ) => world.resolve(source ?? world.root(info.parentType.name), info.fieldName, args, info.returnType);
  const run = (
    on: GraphQLSchema,
    { document, variables }: GeneratedOperation,
    refuses: Refuses,
  ): ExecutionResult =>
    execute({
      schema: on,
      document,
      variableValues: variables,
      fieldResolver: (source, args, context, info) => {
        const { name } = getNamedType(info.returnType);
        if (refuses(info.parentType.name, info.fieldName) || refuses(name)) throw new Error('refused');
        return fieldResolver(source as Source | undefined, args, context, info);
      },
      typeResolver: (value) => {
        const { __typename } = value as Source;
        if (refuses(__typename)) throw new Error('refused');
        return __typename;
      },
    }) as ExecutionResult;
  return (operation: GeneratedOperation, refuses: Refuses = () => false): Expected => {
    const { data, errors = [] } = run(schema, operation, refuses);
    const all = run(nullable, operation, refuses).errors ?? [];
    return {
      data,
      paths: errors.map(({ path }) => path ?? []),
      possible: new Set(all.map(({ path }) => JSON.stringify(path))),
    };
  };
};

/** Returns a schema in which every field may be null, so that one error removes nothing else. */
const withNullableFields = (schema: GraphQLSchema): GraphQLSchema =>
  buildASTSchema(
    visit(parse(printSchema(schema)), {
      FieldDefinition: (field) => ({
        ...field,
        type: visit(field.type, { NonNullType: { leave: ({ type }) => type } }),
      }),
    }),
  );

/** Returns what differs; undefined if nothing does, and `refused` if the operation is too complex. */
export const compare = (answer: Answer, expected: Expected): string | undefined => {
  const { status, data, errors = [], text } = answer;
  if (errors.some(({ extensions }) => extensions?.['code'] === 'OPERATION_TOO_COMPLEX')) return 'refused';
  if (status !== 200) return `HTTP ${status}: ${text}`;
  if (JSON.stringify(data) !== JSON.stringify(expected.data))
    return `expected data ${JSON.stringify(expected.data)}\nbut got      ${JSON.stringify(data)}\nerrors ${JSON.stringify(errors)}`;
  const paths = errors.map(({ path = [] }) => path);
  const [positions, expectedPositions] = [paths, expected.paths].map((some) =>
    [...new Set(some.map((path) => positionOf(path, data)))].sort(),
  );
  if (JSON.stringify(positions) !== JSON.stringify(expectedPositions))
    return `expected errors at ${JSON.stringify(expected.paths)}\nbut got            ${JSON.stringify(errors)}`;
  // Without any data, a subgraph did not say which of its fields failed.
  const unknown = data ? paths.find((path) => !expected.possible.has(JSON.stringify(path))) : undefined;
  if (unknown) return `the path ${JSON.stringify(unknown)} is of no field that fails`;
  if (new Set(paths.map((path) => JSON.stringify(path))).size !== paths.length)
    return `an error is reported twice: ${JSON.stringify(errors)}`;
  return undefined;
};

/**
 * Returns the path to the null that an error caused. Of several fields that fail below it, an executor may
 * report any.
 */
const positionOf = (path: Path, data: unknown): string => {
  let value = data;
  for (const [index, key] of path.entries()) {
    if (value === null || value === undefined) return JSON.stringify(path.slice(0, index));
    value = (value as Record<string | number, unknown>)[key];
  }
  return JSON.stringify(path);
};

/** Names that clients and gateway use, with values that no field has. */
const noise = {
  unasked: true,
  x: 'noise',
  name: 'noise',
  title: 'noise',
  price: -1,
  size: 'noise',
  rating: -1,
};

/** Adds fields to each object of a result that it does not have. */
const withNoise = (result: ExecutionResult): unknown => {
  const add = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(add);
    if (typeof value !== 'object' || value === null) return value;
    return {
      ...noise,
      ...Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, add(inner)])),
    };
  };
  return { ...result, data: add(result.data) };
};
