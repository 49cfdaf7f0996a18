import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { subgraphVariable } from '@cinegraph/service/env';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { askGraphQL, testSubgraphKey } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { bearerOf, testIssuer } from '@cinegraph/testing/tokens';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';
import { openComposed, type Composed } from '../support/composed.js';
import { root } from '../support/image.js';

const names = readSupergraphYaml(`${root}supergraph.yaml`, {}).subgraphs.map(({ name }) => name);
const databases: TestDatabase[] = [];
let composed: Composed;

/** Creates databases without tables, as at the first start; returns their URLs by variable. */
const createDatabases = async () => {
  const urls: Record<string, string> = {};
  for (const name of [...names, 'events']) {
    const database = await testDatabase({ name, migrations: [] });
    databases.push(database);
    urls[subgraphVariable('DATABASE_URL_', name)] = database.url;
  }
  return urls;
};

beforeAll(async () => {
  composed = await openComposed({
    variables: {
      POSTGRES_PASSWORD: 'not used: the databases are outside',
      SUBGRAPH_KEY: testSubgraphKey,
      KAFKA_BROKERS: '',
      JWT_ISSUERS: testIssuer,
      ...(await createDatabases()),
    },
    outside: ['postgres', 'kafka'],
  });
}, 120_000);
afterAll(async () => {
  await composed.down();
  for (const { drop } of databases) await drop();
}, 120_000);

/** The first operation of the README, and the response that it shows. */
const readmeQuery = () => {
  const readme = readFileSync(`${root}README.md`, 'utf8');
  const [, query = ''] = /```graphql\n([^]*?)```/.exec(readme) ?? [];
  const [, answer = ''] = /```json\n([^]*?)```/.exec(readme) ?? [];
  return { query, answer: JSON.parse(answer) as { data: unknown } };
};

const ask = (query: string, headers?: Record<string, string>) =>
  askGraphQL(`${composed.addressOf('gateway')}/graphql`, { query }, headers);

describe('the services of docker-compose.yml, as plain processes', () => {
  it('docker-compose.yml becomes ready on empty databases', async () => {
    await composed.up('infra', 'apps');
    for (const name of [...names, 'gateway']) {
      expect((await fetch(`${composed.addressOf(name)}/health/ready`)).status).toBe(200);
    }
    // The migrations in the images were applied to the database of events.
    for (const name of names) {
      await until(
        async () => {
          const health = await fetch(`${composed.addressOf(name)}/health/ready`);
          return (await health.text()).includes('"broker":"answers"');
        },
        `the broker of ${name} answers`,
        120_000,
      );
    }
  }, 600_000);

  it('the profile import fills the databases, and changes nothing the second time', async () => {
    await composed.up('import');
    const first = `${composed.outputOf('import-metadata')}${composed.outputOf('import-rating')}`;
    expect(first).toMatch(/metadata: .* read 3201, .* refused [^]*rating: .* written \d{3}/);
    await composed.up('import');
    for (const name of ['import-metadata', 'import-rating']) {
      expect(composed.outputOf(name)).toMatch(/ written 0, /);
    }
  }, 300_000);

  it("the gateway answers the README's query with the README's result", async () => {
    const { query, answer } = readmeQuery();
    expect(await ask(query)).toEqual({ status: 200, ...answer });
  });

  it('in production a viewer needs a token of an issuer, and subgraphs answer only the gateway', async () => {
    const vote = 'mutation { submitRating(movieId: "vega:1", score: 9) { rating { score } } }';
    expect(await ask(vote, bearerOf('ann'))).toMatchObject({
      data: { submitRating: { rating: { score: 9 } } },
    });
    for (const headers of [{}, { 'x-viewer-id': 'ann' }, { authorization: 'Bearer ann' }]) {
      const { errors = [] } = await ask(vote, headers);
      expect(errors[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
    }
    const direct = await askGraphQL(`${composed.addressOf('rating')}/graphql`, { query: '{ __typename }' });
    expect(direct.status).toBe(401);
  });

  it('the stop signal ends each service with 0, the gateway first', async () => {
    const codes = await composed.down();
    expect(codes).toMatchObject(Object.fromEntries(['gateway', ...names].map((name) => [name, 0])));
    expect(Object.keys(codes).indexOf('gateway')).toBeLessThan(Object.keys(codes).indexOf('rating'));
  });
});
