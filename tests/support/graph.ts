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
import { metadata } from '@cinegraph/metadata/subgraph';
import { rating } from '@cinegraph/rating/subgraph';
import { silentLogger } from '@cinegraph/testing/silent-logger';

/** The committed supergraph. CI verifies that it equals a new composition. */
const supergraphPath = fileURLToPath(new URL('../../gateway/supergraph.graphql', import.meta.url));

/** The gateway and both subgraphs in the test's process, each subgraph on a database of its own. */
export interface TestGraph {
  readonly url: string;
  readonly subgraphs: { readonly metadata: TestSubgraph; readonly rating: TestSubgraph };
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
  const subgraphs = {
    metadata: await startTestSubgraph(metadata, options),
    rating: await startTestSubgraph(rating, options),
  };
  const gateway = await startGateway(
    readConfig({
      NODE_ENV: 'test',
      PORT: '0',
      SUPERGRAPH_PATH: supergraphPath,
      SUBGRAPH_KEY: testSubgraphKey,
      SUBGRAPH_URL_METADATA: `${subgraphs.metadata.url}/graphql`,
      SUBGRAPH_URL_RATING: `${subgraphs.rating.url}/graphql`,
    }),
    silentLogger,
  );
  const names = new Map(Object.entries(subgraphs).map(([name, { url }]) => [url, name]));
  return {
    url: gateway.url,
    subgraphs,
    ask: (query, variables = {}, headers = {}) =>
      askGraphQL(`${gateway.url}/graphql`, { query, variables }, headers),
    fetchesDuring: async (work) => {
      const asked: string[] = [];
      const count = (message: unknown): void => {
        const { request } = message as { request: { origin: string | URL } };
        const name = names.get(String(request.origin).replace(/\/$/, ''));
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
      await Promise.all([subgraphs.metadata.stop(), subgraphs.rating.stop()]);
    },
  };
};
