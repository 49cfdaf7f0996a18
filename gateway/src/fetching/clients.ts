import type { Logger } from '@cinegraph/service/logger';
import type { Clock } from '@cinegraph/service/clock';
import { createIdentitySigner } from '@cinegraph/service/identity';
import { createSubgraphClient, type SubgraphClient, type SubgraphState } from './client.js';

/**
 * The clients of the supergraph that is served. `open` hands out the one there is for a name and URL, so that a new
 * supergraph finds its connections warm; `serve` makes a set the current one. A client that is no longer in it still
 * finishes what older requests want of it, and its idle connections close by themselves.
 */
export const createClientSet = (options: {
  logger: Logger;
  clock: Clock;
  subgraphKey: string | undefined;
  forwardsHeaders: boolean;
}) => {
  const { logger, clock, subgraphKey, forwardsHeaders } = options;
  let current: ReadonlyMap<string, { url: string; client: SubgraphClient }> = new Map();

  return {
    open: (name: string, url: string): SubgraphClient => {
      const known = current.get(name);
      if (known?.url === url) return known.client;
      return createSubgraphClient({
        name,
        url,
        logger,
        sign: subgraphKey === undefined ? undefined : createIdentitySigner(subgraphKey, name, clock),
        passesRefusal: forwardsHeaders,
      });
    },
    serve: (next: ReadonlyMap<string, { url: string; client: SubgraphClient }>): void => {
      current = next;
    },
    states: (): Record<string, SubgraphState> =>
      Object.fromEntries([...current].map(([name, { client }]) => [name, client.state()])),
    close: async (): Promise<void> => {
      await Promise.all([...current.values()].map(({ client }) => client.close()));
    },
  };
};
