import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { refusalCode } from '@cinegraph/service/refusal';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import { Kind, parse, visit } from 'graphql';
import pg from 'pg';
import { rating } from '../src/subgraph.js';
import { ratingWorld, submit } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

const readyOf = async (url: string) => {
  const response = await fetch(`${url}/health/ready`);
  return { status: response.status, body: await response.json() };
};

describe('rating without its database', () => {
  it('rating reports an unavailable database by error code and readiness, and recovers by itself', async () => {
    await world.rate('ann', 'kept', 8);
    const database = new URL(world.subgraph.databaseUrl).pathname.slice(1);
    await asSuperuser(async (client) => {
      await client.query(`ALTER DATABASE "${database}" CONNECTION LIMIT 0`);
      for (;;) {
        const { rowCount } = await client.query(
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1',
          [database],
        );
        if (rowCount === 0) return;
      }
    });

    const read = await world.subgraph.ask(
      `{ _entities(representations: [{ __typename: "Movie", id: "kept" }]) {
         ... on Movie { aggregatedRating { average count } } } }`,
    );
    expect(read.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'STORE_UNAVAILABLE' }]);
    expect(read.data).toEqual({ _entities: [{ aggregatedRating: null }] });
    const write = await world.subgraph.ask(submit, { movieId: 'kept', score: 1 }, { viewer: 'bob' });
    expect(write.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'STORE_UNAVAILABLE' }]);
    expect(JSON.stringify([read, write])).not.toMatch(/127\.0\.0\.1|postgres|connection|SELECT|role/i);
    expect(await readyOf(world.subgraph.url)).toEqual({
      status: 503,
      body: { status: 'unready', checks: { database: 'unavailable' } },
    });

    await asSuperuser((client) => client.query(`ALTER DATABASE "${database}" CONNECTION LIMIT -1`));
    expect((await readyOf(world.subgraph.url)).status).toBe(200);
    expect(await world.rate('bob', 'kept', 4)).toMatchObject({ average: 6, count: 2 });
  });
});

/** The role of the database can no longer connect, but the superuser of the test run can. */
const asSuperuser = async (work: (client: pg.Client) => Promise<unknown>) => {
  const client = new pg.Client({ connectionString: process.env['TEST_SUPERUSER_URL'] });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
};

describe('rating after a restart and on a second replica', () => {
  it('rating returns the same after a restart and on a second replica', async () => {
    await world.rate('ann', 'restarted', 3);
    await world.rate('bob', 'restarted', 8);
    const replica = await ratingWorld({ databaseUrl: world.subgraph.databaseUrl });
    try {
      expect(await replica.aggregateOf('restarted')).toEqual(await world.aggregateOf('restarted'));
      await replica.rate('carl', 'restarted', 10);
      expect(await world.aggregateOf('restarted')).toMatchObject({ count: 3, average: 7 });
    } finally {
      await replica.subgraph.stop();
    }
  });
});

describe('rating in production', () => {
  it('rating in production accepts requests only from the gateway', async () => {
    const production = await startTestSubgraph(rating, { mode: 'production' });
    try {
      const direct = await production.ask('{ _service { sdl } }', {}, { signed: false });
      expect(direct).toMatchObject({
        status: 401,
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
      for (const header of ['v1.9999999999..AAAA', 'nonsense', '']) {
        const response = await fetch(`${production.url}/graphql`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'x-cinegraph-identity': header,
          },
          body: JSON.stringify({ query: '{ __typename }' }),
        });
        expect(response.status).toBe(401);
      }
      expect(await production.ask('{ __typename }')).toMatchObject({ status: 200 });
      const introspection = await production.ask('{ __schema { types { name } } }');
      expect(introspection.status).toBe(400);
    } finally {
      await production.stop();
    }
  });
});

describe('hostile requests', () => {
  it('hostile requests never end the process nor get a 5xx', async () => {
    const bodies = [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      '{"query":null}',
      '{"query":5}',
      '{"query":"{"}',
      '{"query":"{ __typename }","variables":[]}',
      '{"query":"{ __typename }","variables":"x"}',
      '{"query":"{ _entities(representations: [null]) { __typename } }"}',
      '{"query":"{ _entities(representations: [{}]) { __typename } }"}',
      '{"query":"{ _entities(representations: [{__typename: \\"Movie\\"}]) { ... on Movie { aggregatedRating { count } } } }"}',
      '{"query":"{ _entities(representations: [{__typename: \\"Movie\\", id: {a: 1}}]) { ... on Movie { aggregatedRating { count } } } }"}',
      '{"query":"{ _entities(representations: [{__typename: \\"Nothing\\", id: 1}]) { __typename } }"}',
      '{"query":"mutation { submitRating }"}',
      '{"__proto__":{"x":1},"query":"{ __typename }"}',
      `{"query":"{ ${'a '.repeat(30_000)} }"}`,
    ];
    for (const body of bodies) {
      const response = await fetch(`${world.subgraph.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      const text = await response.text();
      expect({ body: body.slice(0, 100), status: response.status < 500 ? 'ok' : text }).toEqual({
        body: body.slice(0, 100),
        status: 'ok',
      });
    }
    expect((await readyOf(world.subgraph.url)).status).toBe(200);
  });
});

describe('the contract', () => {
  it('the schema describes every type, field, argument and enum value', async () => {
    const undescribed: string[] = [];
    visit(parse(await readFile(rating.schema, 'utf8')), {
      enter: (node) => {
        if (
          (node.kind === Kind.OBJECT_TYPE_DEFINITION && !/^(Query|Mutation)$/.test(node.name.value)) ||
          node.kind === Kind.FIELD_DEFINITION ||
          node.kind === Kind.INPUT_VALUE_DEFINITION ||
          node.kind === Kind.ENUM_TYPE_DEFINITION ||
          node.kind === Kind.ENUM_VALUE_DEFINITION ||
          node.kind === Kind.SCALAR_TYPE_DEFINITION
        ) {
          if (!node.description) undescribed.push(node.name.value);
        }
      },
    });
    expect(undescribed).toEqual([]);
  });

  it('the schema lists every code that rating refuses with', async () => {
    const { definitions } = parse(await readFile(rating.schema, 'utf8'));
    const listed = definitions.flatMap((definition) =>
      definition.kind === Kind.ENUM_TYPE_DEFINITION && definition.name.value === 'ErrorCode'
        ? (definition.values ?? []).map(({ name }) => name.value)
        : [],
    );
    const sources = await Promise.all(
      ['rules.ts', 'context.ts', 'scalars.ts'].map((file) =>
        readFile(new URL(`../src/${file}`, import.meta.url), 'utf8'),
      ),
    );
    // Every viewer may rate.
    const shared = Object.values(refusalCode).filter((code) => code !== refusalCode.forbidden);
    const used = [
      ...sources.flatMap((source) => source.match(/'[A-Z]+(_[A-Z]+)+'/g) ?? []),
      ...shared.map((code) => `'${code}'`),
    ];
    expect([...new Set(used)].filter((code) => !listed.includes(code.slice(1, -1)))).toEqual([]);
  });
});
