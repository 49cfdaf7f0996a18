import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { composeServices } from '@apollo/composition';
import { afterAll, beforeAll } from '@jest/globals';
import { testIssuer } from '@cinegraph/testing/tokens';
import { GraphQLError, parse } from 'graphql';
import { pino } from 'pino';
import { readConfig } from '../../src/config.js';
import { startGateway } from '../../src/server.js';
import { startStubSubgraph, type StubSubgraph } from './stub-subgraph.js';

const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable", "@cost"])`;

const thingsSdl = `${link}
  input ThingFilter { name: String }
  type Query { things(count: Int = 3, filter: ThingFilter): [Thing!]! thing(id: ID!): Thing loose: [Thing] broken(code: String): String heavy: Int @cost(weight: 30000) }
  type Mutation { rename(id: ID!, name: String!): Thing }
  enum ErrorCode { THING_LOCKED INTERNAL_SERVER_ERROR GRAPHQL_VALIDATION_FAILED InternalError STORE_UNAVAILABLE }
  type Thing @key(fields: "id") { id: ID! name: String! linked(first: Int, last: Int): [Thing!]! parts: [Thing!]! }`;

const scoresSdl = `${link}
  type Query { best(first: Int): Thing }
  type Thing @key(fields: "id") { id: ID! score: Int odd: Int rank: Int! }`;

/** The answers that the tests reckon with. */
export const thingNames = ['zero', 'one', 'two'];

const thing = (id: number) => ({ id: String(id), name: thingNames[id] ?? `thing ${id}` });

/**
 * `things` owns Thing and its name; `scores` adds a nullable score, a non-null rank, and refuses odd ids for
 * `odd`.
 */
export const startStubs = async (): Promise<{ things: StubSubgraph; scores: StubSubgraph }> => ({
  things: await startStubSubgraph({
    name: 'things',
    typeDefs: thingsSdl,
    resolvers: {
      Query: {
        things: (_: unknown, { count }: { count: number }) =>
          Array.from({ length: count }, (_item, id) => thing(id)),
        thing: (_: unknown, { id }: { id: string }) => (id === 'none' ? null : thing(Number(id))),
        loose: () => [thing(0), thing(1)],
        broken: (_: unknown, { code }: { code?: string }) => {
          throw new GraphQLError('password=hunter2 at db.internal:5432', {
            extensions: {
              ...(code && { code }),
              details: { limit: 3, inner: { deep: true } },
              url: 'http://10.0.0.1',
              http: { status: 418 },
            },
          });
        },
      },
      Mutation: { rename: (_: unknown, { id, name }: { id: string; name: string }) => ({ id, name }) },
      Thing: {
        __resolveReference: ({ id }: { id: string }) => thing(Number(id)),
        linked: (_: unknown, { first }: { first?: number }) =>
          Array.from({ length: first ?? 1 }, () => thing(1)),
        parts: () => [thing(2)],
      },
    },
  }),
  scores: await startStubSubgraph({
    name: 'scores',
    typeDefs: scoresSdl,
    resolvers: {
      Query: { best: () => ({ id: '1' }) },
      Thing: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        score: ({ id }: { id: string }) => Number(id) * 10,
        rank: ({ id }: { id: string }) => Number(id),
        odd: ({ id }: { id: string }) => {
          if (Number(id) % 2 === 0) return Number(id);
          throw new GraphQLError('Thing is locked. Unlock it first.', {
            extensions: { code: 'THING_LOCKED', details: { id } },
          });
        },
      },
    },
  }),
});

/** The supergraph of these subgraphs; `urls` replaces routing URLs by subgraph name. */
export const compose = (
  subgraphs: readonly StubSubgraph[],
  urls: Readonly<Record<string, string>> = {},
): string => {
  const { errors, supergraphSdl } = composeServices(
    subgraphs.map(({ name, url, typeDefs }) => ({ name, url: urls[name] ?? url, typeDefs: parse(typeDefs) })),
  );
  if (!supergraphSdl)
    throw new Error(`the stubs do not compose: ${errors?.map(({ message }) => message).join('; ')}`);
  return supergraphSdl;
};

/** A line of the log, as pino writes it. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

/** A log that is kept in memory. */
export const createTestLog = () => {
  const lines: LogLine[] = [];
  const logger = pino(
    { level: 'trace' },
    { write: (line: string) => lines.push(JSON.parse(line) as LogLine) },
  );
  return { lines, logger };
};

/** A GraphQL answer, as far as the tests look at it. */
export interface GraphqlAnswer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly {
    message: string;
    path?: readonly (string | number)[];
    extensions: Record<string, unknown>;
  }[];
  readonly extensions?: unknown;
}

/** Asks a gateway by POST. */
export const askAt = async (
  url: string,
  query: string,
  options: {
    variables?: Record<string, unknown>;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  } = {},
): Promise<{ status: number; headers: Headers; text: string; body: GraphqlAnswer }> => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...options.headers },
    body: JSON.stringify({ query, ...(options.variables && { variables: options.variables }) }),
    ...(options.signal && { signal: options.signal }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: JSON.parse(text) as GraphqlAnswer,
  };
};

/** The stubs, their supergraph in a folder of its own, and a gateway before them in this process. */
export const startWorld = async (env: Readonly<Record<string, string>> = {}) => {
  const stubs = await startStubs();
  const folder = await mkdtemp(path.join(tmpdir(), 'gateway-'));
  const supergraphPath = path.join(folder, 'supergraph.graphql');
  await writeFile(supergraphPath, compose(Object.values(stubs)));
  const { lines, logger } = createTestLog();
  const gateway = await startGateway(
    readConfig({
      NODE_ENV: 'test',
      PORT: '0',
      SUPERGRAPH_PATH: supergraphPath,
      JWT_ISSUERS: testIssuer,
      ...env,
    }),
    logger,
  );
  return {
    ...stubs,
    url: gateway.url,
    log: lines,
    folder,
    supergraphPath,
    ask: (query: string, options?: Parameters<typeof askAt>[2]) => askAt(gateway.url, query, options),
    stop: async () => {
      await gateway.stop();
      await Promise.all([stubs.things.stop(), stubs.scores.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** The stubs and the gateway before them. */
export type World = Awaited<ReturnType<typeof startWorld>>;

/** Starts a world before the tests of a block, and stops it after them. Returns a function to get it. */
export const useWorld = (env: Readonly<Record<string, string>>): (() => World) => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld(env);
  });
  afterAll(() => world.stop());
  return () => world;
};
