import { readFileSync } from 'node:fs';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { metadata } from '@cinegraph/metadata/subgraph';
import { rating } from '@cinegraph/rating/subgraph';
import { users } from '../../../subgraphs/users/src/subgraph.js';
import { testDatabase, testPool } from '@cinegraph/testing/database';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { testIssuer } from '@cinegraph/testing/tokens';
import { issuers as forgedIssuers } from '../../../gateway/test/support/tokens.js';
import { runService, type ServiceProcess } from '../../support/service-process.js';
import { startCountingProxy } from './counting-proxy.js';

/** The issuer of the subgraph users, and the audience of its tokens. */
export const usersIssuer = { issuer: 'urn:cinegraph:users', audience: 'urn:cinegraph:graph' };

/** The viewers of the test issuer have this prefix in the stack. */
export const testPrefix = 'test:';

/** The committed supergraph. */
export const supergraph = readFileSync(
  new URL('../../../gateway/supergraph.graphql', import.meta.url),
  'utf8',
);

const definitions = { metadata, rating, users };
type Name = keyof typeof definitions;
const names = Object.keys(definitions) as Name[];

/** The stack as it runs in production: a gateway and its subgraphs as processes, on real databases. */
export type Stack = Awaited<ReturnType<typeof startStack>>;

/** Starts the stack. A counting proxy is between the gateways and each subgraph. */
export const startStack = async () => {
  const events = await testDatabase({ name: 'events', migrations: [brokerMigrations] });
  const processes = new Set<ServiceProcess>();
  const run = (folder: string, env: Readonly<Record<string, string>>): ServiceProcess => {
    const service = runService(folder, {
      NODE_ENV: 'production',
      SUBGRAPH_KEY: testSubgraphKey,
      PORT: '0',
      ...env,
    });
    processes.add(service);
    return service;
  };
  const started = await Promise.all(
    names.map(async (name) => {
      const { migrations } = definitions[name];
      const database = await testDatabase({ name, migrations });
      const service = run(`subgraphs/${name}`, {
        [`DATABASE_URL_${name.toUpperCase()}`]: database.url,
        DATABASE_URL_EVENTS: events.url,
        ...(name === 'rating' && { INGEST_SCALE: '10' }),
      });
      const url = await service.url;
      const proxy = await startCountingProxy(url);
      return [name, { database, service, url, proxy, pool: testPool(database.url) }] as const;
    }),
  );
  const subgraphs = Object.fromEntries(started) as unknown as Record<Name, (typeof started)[number][1]>;
  const all = Object.values(subgraphs);
  const gatewayVariables = {
    JWT_ISSUERS: JSON.stringify([
      { ...usersIssuer, typ: 'at+jwt', jwksUrl: `${subgraphs.users.proxy.url}/.well-known/jwks.json` },
      ...prefixed(testIssuer, testPrefix),
      ...prefixed(forgedIssuers, 'ours:'),
    ]),
    BUDGET_FIELDS: 'Mutation.login=10,Mutation.register=5',
    ...Object.fromEntries(
      names.map((name) => [`SUBGRAPH_URL_${name.toUpperCase()}`, `${subgraphs[name].proxy.url}/graphql`]),
    ),
  };
  const runGateway = (env: Readonly<Record<string, string>> = {}) =>
    run('gateway', { ...gatewayVariables, ...env });
  const gateway = runGateway();
  return {
    gateway,
    url: await gateway.url,
    subgraphs,
    eventsUrl: events.url,
    /** Starts one more gateway, with `env` added to its variables, and returns its address. */
    startGateway: (env: Readonly<Record<string, string>>) => runGateway(env).url,
    /** Returns how many fetches the subgraphs have received. */
    fetches: () => all.reduce((sum, { proxy }) => sum + proxy.count(), 0),
    /** Returns the resident memory of the gateway in MiB. */
    memoryMiB: () => {
      const status = readFileSync(`/proc/${gateway.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
    },
    stop: async () => {
      for (const { signal } of processes) signal('SIGKILL');
      await Promise.all([...processes].map(({ ended }) => ended));
      for (const { proxy, pool } of all) {
        proxy.stop();
        await pool.end();
      }
      await Promise.all([events, ...all.map(({ database }) => database)].map(({ drop }) => drop()));
    },
  };
};

/** Returns the issuers in a value of `JWT_ISSUERS`, with a prefix for viewers of those that have none. */
const prefixed = (text: string, viewerPrefix: string): readonly object[] =>
  (JSON.parse(text) as object[]).map((issuer) => ({ viewerPrefix, ...issuer }));

/** Starts a gateway with only these variables, for a supergraph of a test. */
export const runAlone = (env: Readonly<Record<string, string>>): ServiceProcess =>
  runService('gateway', { NODE_ENV: 'production', PORT: '0', ...env });
