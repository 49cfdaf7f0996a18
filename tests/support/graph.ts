import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import type { BrokerAddress } from '@cinegraph/messaging/open-broker';
import { readConfig } from '@cinegraph/gateway/config';
import { startGateway } from '@cinegraph/gateway/server';
import {
  askGraphQL,
  startTestSubgraph,
  testSubgraphKey,
  type GraphQLAnswer,
  type TestSubgraph,
} from '@cinegraph/testing/subgraph';
import { subgraphVariable } from '@cinegraph/service/env';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { testIssuer } from '@cinegraph/testing/tokens';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';

const names = readSupergraphYaml(
  fileURLToPath(new URL('../../supergraph.yaml', import.meta.url)),
  {},
).subgraphs.map(({ name }) => name);

/** The committed supergraph. CI verifies that it equals a new composition. */
const supergraphPath = fileURLToPath(new URL('../../gateway/supergraph.graphql', import.meta.url));

/** The gateway and all subgraphs in the test's process, each subgraph on a database of its own. */
export interface TestGraph {
  readonly url: string;
  readonly subgraphs: Readonly<Record<'metadata' | 'rating', TestSubgraph>>;
  readonly ask: (
    query: string,
    variables?: Record<string, unknown>,
    headers?: Record<string, string>,
  ) => Promise<GraphQLAnswer>;
  /** Runs `work` and returns the subgraphs from which the gateway fetched meanwhile, in order. */
  readonly fetchesDuring: (work: () => Promise<unknown>) => Promise<readonly string[]>;
  readonly stop: () => Promise<void>;
}

/** Starts them. Without a broker, events wait in the outboxes. */
export const startTestGraph = async (options: { broker?: BrokerAddress } = {}): Promise<TestGraph> => {
  const subgraphs = {} as Record<'metadata' | 'rating', TestSubgraph> & Record<string, TestSubgraph>;
  for (const name of names) subgraphs[name] = await startTestSubgraph(await definitionOf(name), options);
  const gateway = await startGateway(
    readConfig({
      NODE_ENV: 'test',
      PORT: '0',
      SUPERGRAPH_PATH: supergraphPath,
      SUBGRAPH_KEY: testSubgraphKey,
      JWT_ISSUERS: testIssuer,
      ...Object.fromEntries(
        Object.entries(subgraphs).map(([name, { url }]) => [
          subgraphVariable('SUBGRAPH_URL_', name),
          `${url}/graphql`,
        ]),
      ),
    }),
    silentLogger,
  );
  const nameOf = new Map(Object.entries(subgraphs).map(([name, { url }]) => [url, name]));
  return {
    url: gateway.url,
    subgraphs,
    ask: (query, variables = {}, headers = {}) =>
      askGraphQL(`${gateway.url}/graphql`, { query, variables }, headers),
    fetchesDuring: async (work) => {
      const asked: string[] = [];
      const count = (message: unknown): void => {
        const { request } = message as { request: { origin: string | URL } };
        const name = nameOf.get(String(request.origin).replace(/\/$/, ''));
        if (name) asked.push(name);
      };
      subscribe('undici:request:create', count);
      try {
        await work();
      } finally {
        unsubscribe('undici:request:create', count);
      }
      return asked;
    },
    stop: async () => {
      await gateway.stop();
      await Promise.all(Object.values(subgraphs).map(({ stop }) => stop()));
    },
  };
};

/** A subgraph exports its definition by its name. */
const definitionOf = async (name: string) => {
  const exported = (await import(`../../subgraphs/${name}/src/subgraph.js`)) as Readonly<
    Record<string, SubgraphDefinition<object>>
  >;
  const definition = exported[name];
  if (!definition) throw new Error(`subgraphs/${name}/src/subgraph.ts exports no ${name}`);
  return definition;
};
