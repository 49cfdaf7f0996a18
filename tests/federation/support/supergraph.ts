import { afterAll, beforeAll } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '@cinegraph/gateway/config';
import { startGateway } from '@cinegraph/gateway/server';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type { GraphQLSchema } from 'graphql';
import {
  startStubSubgraph,
  type StubAnswer,
  type StubResolvers,
  type StubSubgraph,
} from '../../../gateway/test/support/stub-subgraph.js';
import { composeSupergraph } from '../../../packages/cli/src/compose/schemas.js';
import { readSupergraphYaml } from '../../../packages/cli/src/supergraph-yaml.js';

/** Our own list of subgraphs names the version of composition. */
const { federationVersion } = readSupergraphYaml(
  join(import.meta.dirname, '../../../supergraph.yaml'),
  process.env,
);

/** A subgraph of a test. It answers what its resolvers do, or the text that `answer` returns. */
export interface TestedSubgraph {
  readonly sdl: string;
  readonly resolvers?: StubResolvers;
  readonly answer?: StubAnswer;
}

/** An error of a response. */
export interface ResponseError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly locations?: unknown;
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** A response of the gateway. `text` is its body. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly data?: unknown;
  readonly errors?: readonly ResponseError[];
}

/** A gateway over subgraphs of a test, all in this process. */
export interface Supergraph {
  readonly url: string;
  readonly schema: GraphQLSchema;
  readonly subgraphs: Readonly<Record<string, StubSubgraph>>;
  /** Sends an operation by POST. */
  ask(query: string, variables?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Sends the text as the body of a POST. */
  send(body: string): Promise<Answer>;
  /** Forgets which requests the subgraphs have received. */
  forget(): void;
  stop(): Promise<void>;
}

/** Which executor the gateway uses: ours, or the one of @apollo/gateway, to compare the two. */
export const executor = process.env['TEST_EXECUTOR'] === 'stock' ? 'stock' : 'own';

/** The link to federation with every directive that the tests use; the start of each subgraph's SDL. */
export const federation = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [
  "@key", "@shareable", "@external", "@requires", "@provides", "@override", "@inaccessible", "@tag",
  "@interfaceObject", "@composeDirective", "@context", "@fromContext"])\n`;

/** Composes subgraphs as `npm run compose` does. */
export const composeSubgraphs = (
  subgraphs: readonly { readonly name: string; readonly url: string; readonly typeDefs: string }[],
) =>
  composeSupergraph(
    {
      federationVersion,
      subgraphs: subgraphs.map(({ name, url, typeDefs }) => ({ name, routingUrl: url, sdl: typeDefs })),
    },
    (path) => path,
  );

/** Returns the SDL with the link to federation, if it has none. */
export const linked = (sdl: string): string => (sdl.includes('@link') ? sdl : federation + sdl);

/**
 * Starts each subgraph on a free port, composes them as `npm run compose` does, and starts the gateway. Each
 * operation is sent with the headers.
 */
export const startSupergraph = async (
  definitions: Readonly<Record<string, TestedSubgraph>>,
  env: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<Supergraph> => {
  const subgraphs: Record<string, StubSubgraph> = {};
  for (const [name, { sdl, resolvers = {}, answer }] of Object.entries(definitions)) {
    const typeDefs = linked(sdl);
    subgraphs[name] = await startStubSubgraph({ name, typeDefs, resolvers, ...(answer && { answer }) });
  }
  const composed = composeSubgraphs(Object.values(subgraphs));
  const folder = await mkdtemp(join(tmpdir(), 'supergraph-'));
  const path = join(folder, 'supergraph.graphql');
  await writeFile(path, composed.supergraph);
  const gateway = await startGateway(
    readConfig({ NODE_ENV: 'test', PORT: '0', SUPERGRAPH_PATH: path, EXECUTOR: executor, ...env }),
    silentLogger,
  );
  const send = async (body: string): Promise<Answer> => {
    const response = await fetch(`${gateway.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    const text = await response.text();
    return { ...(JSON.parse(text) as Omit<Answer, 'status' | 'text'>), status: response.status, text };
  };
  return {
    url: gateway.url,
    schema: composed.apiSchema(),
    subgraphs,
    send,
    ask: (query, variables) => send(JSON.stringify({ query, ...(variables && { variables }) })),
    forget: () => {
      for (const { seen } of Object.values(subgraphs)) seen.length = 0;
    },
    stop: async () => {
      await gateway.stop();
      await Promise.all(Object.values(subgraphs).map((subgraph) => subgraph.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** Starts a supergraph before the tests of a `describe`, and stops it after them. */
export const withSupergraph = (
  definitions: Readonly<Record<string, TestedSubgraph>>,
  env: Readonly<Record<string, string>> = {},
): Supergraph => {
  let running: Supergraph | undefined;
  const started = (): Supergraph => {
    if (!running) throw new Error('The supergraph is used before it was started.');
    return running;
  };
  beforeAll(async () => {
    running = await startSupergraph(definitions, env);
  });
  afterAll(() => running?.stop());
  return {
    get url() {
      return started().url;
    },
    get schema() {
      return started().schema;
    },
    get subgraphs() {
      return started().subgraphs;
    },
    ask: (query, variables) => started().ask(query, variables),
    send: (body) => started().send(body),
    forget: () => started().forget(),
    stop: () => started().stop(),
  };
};

/** Returns data and the paths of the errors: what a client sees, without texts and codes. */
export const outcome = ({ data, errors = [] }: Answer): { data: unknown; errorPaths: unknown[] } => ({
  data,
  errorPaths: errors.map(({ path }) => path),
});
