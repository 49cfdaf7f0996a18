import { fileURLToPath } from 'node:url';
import { systemClock } from '@cinegraph/service/clock';
import { identityHeader, createIdentitySigner } from '@cinegraph/service/identity';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { metadata } from '@cinegraph/metadata/subgraph';
import { rating } from '@cinegraph/rating/subgraph';
import { testDatabase } from '@cinegraph/testing/database';
import { askGraphQL, testSubgraphKey } from '@cinegraph/testing/subgraph';
import { testIssuer } from '@cinegraph/testing/tokens';
import { runService, type ServiceProcess } from './service-process.js';

type Env = Readonly<Record<string, string>>;

/** Creates the databases of all services, and runs services on them as processes. */
export const createServices = async () => {
  const databases = {
    metadata: await testDatabase({ name: metadata.name, migrations: metadata.migrations }),
    rating: await testDatabase({ name: rating.name, migrations: rating.migrations }),
    events: await testDatabase({ name: 'events', migrations: [brokerMigrations] }),
  };
  const running = new Set<ServiceProcess>();
  return {
    databases,

    /** Starts the service of a folder on a free port, with `env` added to its variables. */
    run: (folder: string, env: Env): ServiceProcess => {
      const service = runService(folder, {
        NODE_ENV: 'test',
        SUBGRAPH_KEY: testSubgraphKey,
        JWT_ISSUERS: testIssuer,
        DATABASE_URL_METADATA: databases.metadata.url,
        DATABASE_URL_RATING: databases.rating.url,
        DATABASE_URL_EVENTS: databases.events.url,
        SUPERGRAPH_PATH: fileURLToPath(new URL('../../gateway/supergraph.graphql', import.meta.url)),
        PORT: '0',
        ...env,
      });
      running.add(service);
      return service;
    },

    /** Stops a service as an operator does, and returns how it ended. */
    stop: async (service: ServiceProcess) => {
      service.signal('SIGTERM');
      const ended = await service.ended;
      running.delete(service);
      return ended;
    },

    /** Kills what still runs, and drops the databases. */
    remove: async (): Promise<void> => {
      for (const { signal } of running) signal('SIGKILL');
      await Promise.all([...running].map(({ ended }) => ended));
      await Promise.all(Object.values(databases).map(({ drop }) => drop()));
    },
  };
};

/** Returns the variables with which a service sends its traces to the collector at `url`. */
export const tracesTo = (url: string): Env => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  OTEL_BSP_SCHEDULE_DELAY: '20',
});

const sign = createIdentitySigner(testSubgraphKey, 'rating', systemClock);

/** Sends a query to rating as the gateway does. */
export const askRating = (url: string, query: string) =>
  askGraphQL(`${url}/graphql`, { query }, { [identityHeader]: sign(null) });
