import type { Clock } from '@cinegraph/service/clock';
import { createIdentitySigner } from '@cinegraph/service/identity';
import type { Logger } from '@cinegraph/service/logger';
import { createSubgraphClient, type SubgraphClient, type SubgraphState } from './client.js';
import type { Connect } from './tls.js';

/** A client, and the URL that it was opened for. */
export interface OpenedClient {
  readonly url: string;
  readonly client: SubgraphClient;
}

/** The clients of the supergraph that is served, by subgraph name. */
export interface ClientSet {
  /**
   * Returns the current client of this name and URL, so that a new supergraph uses open connections, or a new
   * one.
   */
  open(name: string, url: string): SubgraphClient;
  /**
   * Makes these clients the current ones. A client that is no longer among them still serves older requests.
   */
  serve(next: ReadonlyMap<string, OpenedClient>): void;
  states(): Record<string, SubgraphState>;
  close(): Promise<void>;
}

/** Creates an empty set. With a `subgraphKey` each client signs its fetches for its subgraph. */
export const createClientSet = (options: {
  connect: Connect;
  logger: Logger;
  clock: Clock;
  subgraphKey: string | undefined;
  forwardHeadersOf: (subgraph: string) => readonly string[];
  coalesces: (subgraph: string) => boolean;
  returnHeaders: readonly string[];
}): ClientSet => {
  const { connect, logger, clock, subgraphKey, forwardHeadersOf, coalesces, returnHeaders } = options;
  let current: ReadonlyMap<string, OpenedClient> = new Map();

  return {
    open: (name, url) => {
      const known = current.get(name);
      if (known?.url === url) return known.client;
      return createSubgraphClient({
        name,
        url,
        connect,
        logger,
        clock,
        sign: subgraphKey === undefined ? undefined : createIdentitySigner(subgraphKey, name, clock),
        forwardHeaders: forwardHeadersOf(name),
        coalesces: coalesces(name),
        returnHeaders,
      });
    },
    serve: (next) => {
      current = next;
    },
    states: () => Object.fromEntries([...current].map(([name, { client }]) => [name, client.state()])),
    close: async () => {
      await Promise.all([...current.values()].map(({ client }) => client.close()));
    },
  };
};
