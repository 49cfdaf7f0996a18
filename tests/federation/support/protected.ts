import { afterAll, beforeAll } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import type { Viewer } from '@cinegraph/service/viewer';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { getOperationAST, parse, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { buildConnector } from 'undici';
import type { OperationResult } from '../../../gateway/src/execution/executor.js';
import { createClientSet } from '../../../gateway/src/fetching/clients.js';
import { Deadline } from '../../../gateway/src/request/context.js';
import { loadSupergraph, type LoadedSupergraph } from '../../../gateway/src/supergraph/load.js';
import {
  startStubSubgraph,
  type SeenRequest,
  type StubSubgraph,
} from '../../../gateway/test/support/stub-subgraph.js';
import { composeSubgraphs, type TestedSubgraph } from './supergraph.js';

/** Who asks, and what they may do. */
export interface Asker {
  readonly viewer: Viewer;
  readonly policies: readonly string[];
}

export const nobody: Asker = { viewer: null, policies: [] };

/** Returns somebody who is signed in and has these scopes and policies. */
export const somebody = (scopes: readonly string[] = [], policies: readonly string[] = []): Asker => ({
  viewer: { id: 'viewer', scopes },
  policies,
});

/** The link to federation with every directive that protects; the start of each subgraph's SDL. */
export const protecting = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [
  "@key", "@shareable", "@external", "@requires", "@provides", "@override", "@tag", "@interfaceObject",
  "@inaccessible", "@context", "@fromContext", "@authenticated", "@requiresScopes", "@policy"])\n`;

/** A result as a client sees it: each error as its path and its code. */
export interface Seen {
  readonly data: unknown;
  readonly errors: readonly (readonly [path: string, code: unknown])[];
  readonly refused: readonly string[];
}

/** The executor of a supergraph over real subgraphs, for any viewer. */
export interface ProtectedSupergraph {
  readonly schema: GraphQLSchema;
  readonly subgraphs: Readonly<Record<string, StubSubgraph>>;
  ask(query: string, asker: Asker, variables?: Readonly<Record<string, unknown>>): Promise<Seen>;
  execute(
    document: DocumentNode,
    asker: Asker,
    variables: Readonly<Record<string, unknown>>,
  ): Promise<OperationResult>;
  /** Returns what subgraphs were sent since the last call. */
  requests(): SeenRequest[];
  stop(): Promise<void>;
}

/** Starts subgraphs, composes them, and loads the supergraph, after `rewrite`, as the gateway does. */
export const startProtected = async (
  definitions: Readonly<Record<string, TestedSubgraph>>,
  {
    rewrite = (supergraph) => supergraph,
    introspection = 'whole',
  }: { rewrite?: (supergraph: string) => string; introspection?: 'whole' | 'visible' } = {},
): Promise<ProtectedSupergraph> => {
  const subgraphs: Record<string, StubSubgraph> = {};
  for (const [name, { sdl, resolvers = {}, answer }] of Object.entries(definitions)) {
    const typeDefs = sdl.includes('@link') ? sdl : protecting + sdl;
    subgraphs[name] = await startStubSubgraph({ name, typeDefs, resolvers, ...(answer && { answer }) });
  }
  const clients = createClientSet({
    logger: silentLogger,
    clock: systemClock,
    subgraphKey: undefined,
    forwardHeadersOf: () => [],
    coalesces: () => false,
    returnHeaders: [],
    connect: buildConnector({}),
  });
  const { schema, executor, planner } = await loadSupergraph({
    sdl: rewrite(composeSubgraphs(Object.values(subgraphs)).supergraph),
    validate: false,
    clients,
    settings: {
      executor: 'own',
      urlOf: () => undefined,
      variablesOfOthers: () => [],
      overrideLabels: [],
      introspection,
      budgets: { cost: undefined, fields: {} },
      clientFields: [],
    },
    replaces: undefined,
    logger: silentLogger,
  });
  return {
    schema,
    subgraphs,
    ask: async (query, asker, variables = {}) => {
      const document = parse(query);
      const [invalid] = validate(schema, document);
      if (invalid) throw invalid;
      return seen(await execute(executor, { document, variables, asker }));
    },
    execute: (document, asker, variables) => execute(executor, { document, variables, asker }),
    requests: () => Object.values(subgraphs).flatMap(({ seen: all }) => all.splice(0)),
    stop: async () => {
      await planner?.stop();
      await clients.close();
      await Promise.all(Object.values(subgraphs).map((subgraph) => subgraph.stop()));
    },
  };
};

const execute = (
  executor: LoadedSupergraph['executor'],
  options: {
    document: DocumentNode;
    variables: Readonly<Record<string, unknown>>;
    asker: Asker;
  },
): Promise<OperationResult> => {
  if (executor.kind !== 'own') throw new Error('only our executor enforces these directives');
  const { document, variables, asker } = options;
  return executor.execute({
    document,
    operation: getOperationAST(document) ?? undefined,
    variables,
    context: {
      ...asker,
      forwarded: {},
      deadline: new Deadline(10_000),
      account: undefined,
      exactVariables: undefined,
      returnHeader: () => undefined,
      sendParts: () => undefined,
    },
    acceptsParts: () => true,
    explains: true,
  });
};

const seen = ({ data, errors, explanation }: OperationResult): Seen => ({
  data: JSON.parse(data.toString()),
  errors: errors.map(({ path = [], extensions }) => [path.join('.'), extensions['code']]),
  refused: [...(explanation?.refused ?? [])].sort(),
});

/** Starts a protected supergraph before the tests of a `describe`, and stops it after them. */
export const withProtected = (
  ...args: Parameters<typeof startProtected>
): Pick<ProtectedSupergraph, 'ask' | 'execute' | 'requests'> => {
  let running: ProtectedSupergraph;
  beforeAll(async () => {
    running = await startProtected(...args);
  });
  afterAll(() => running.stop());
  return {
    ask: (query, asker, variables) => running.ask(query, asker, variables),
    execute: (document, asker, variables) => running.execute(document, asker, variables),
    requests: () => running.requests(),
  };
};
