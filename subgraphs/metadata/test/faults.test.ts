import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { systemClock } from '@cinegraph/service/clock';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { startTestSubgraph, testSubgraphKey, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { metadata } from '../src/subgraph.js';
import { asEditor } from './support/mutations.js';

let database: TestDatabase;
let wire: Wire;
let subgraph: TestSubgraph;
beforeAll(async () => {
  database = await testDatabase({ name: metadata.name, migrations: metadata.migrations });
  wire = await openWire(new URL(database.url));
  subgraph = await startTestSubgraph(metadata, { databaseUrl: wire.url });
  const { errors } = await subgraph.ask(
    'mutation { upsertMovie(id: "m:1", input: { title: "Here" }) { movie { id } } }',
    {},
    asEditor,
  );
  expect(errors).toBeUndefined();
});
afterAll(async () => {
  await subgraph.stop();
  await wire.cut();
  await database.drop();
});

const readiness = async () => (await fetch(`${subgraph.url}/health/ready`)).status;

/**
 * A TCP proxy between a subgraph and its store. `cut` closes it with all connections, `mend` opens it again.
 */
interface Wire {
  readonly url: string;
  cut(): Promise<void>;
  mend(): Promise<void>;
}

const openWire = async (target: URL): Promise<Wire> => {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    keep(near).pipe(keep(far)).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: Object.assign(new URL(target), { host: `127.0.0.1:${port}` }).href,
    cut: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
    mend: () => listen(port),
  };
};

describe('while the store is unavailable', () => {
  const queries = [
    '{ movie(id: "m:1") { title } }',
    '{ movies { nodes { id } } }',
    '{ movies(sort: TITLE_DESC, filter: { title: "e" }) { totalCount } }',
    '{ genres { id movieCount } }',
    '{ person(id: "p:1") { name } }',
    '{ _entities(representations: [{ __typename: "Movie", id: "m:1" }]) { ... on Movie { title } } }',
    'mutation { createMovie(input: { title: "Lost" }) { movie { id } } }',
    'mutation { createMovie(input: { title: "Lost" }, idempotencyKey: "k") { movie { id } } }',
    'mutation { updateMovie(id: "m:1", version: 1, input: { title: "Lost" }) { movie { id } } }',
    'mutation { upsertMovie(id: "m:1", input: { title: "Lost" }) { movie { id } } }',
    'mutation { deleteMovie(id: "m:1") { deletedMovieId } }',
  ];

  it('every operation fails with STORE_UNAVAILABLE and readiness with 503 until the store is back', async () => {
    expect(await readiness()).toBe(200);
    await wire.cut();
    try {
      for (const query of queries) {
        const { data, errors } = await subgraph.ask(query, {}, asEditor);
        expect([query, errors]).toEqual([
          query,
          [
            expect.objectContaining({
              message: 'The data cannot be reached at the moment. Try again later.',
              extensions: { code: 'STORE_UNAVAILABLE' },
            }),
          ],
        ]);
        const values = data == null ? [] : Object.values(data).flat();
        expect([query, values.every((value) => value === null)]).toEqual([query, true]);
      }
      expect(await readiness()).toBe(503);
    } finally {
      await wire.mend();
    }
    expect(await readiness()).toBe(200);
    const { data, errors } = await subgraph.ask(
      '{ movie(id: "m:1") { title version } movies { totalCount } }',
    );
    expect({ data, errors }).toEqual({
      data: { movie: { title: 'Here', version: 1 }, movies: { totalCount: 1 } },
      errors: undefined,
    });
  });
});

describe('while one table cannot be read', () => {
  it.each([
    ['movie', '{ movie(id: "m:1") { title } }'],
    ['movie', '{ movies { pageInfo { hasNextPage } } }'],
    ['genre', '{ movie(id: "m:1") { genres { id } } }'],
    ['genre', '{ genres { id } }'],
    ['credit', '{ movie(id: "m:1") { directors { id } } }'],
    ['credit', '{ movie(id: "m:1") { cast { position } } }'],
    ['credit', '{ person(id: "p:1") { filmography { pageInfo { hasNextPage } } } }'],
    ['credit', '{ person(id: "p:1") { name } movies(filter: { person: "p:1" }) { totalCount } }'],
    ['external_id', '{ movie(id: "m:1") { externalIds { value } } }'],
    ['external_rating', '{ movie(id: "m:1") { externalRatings { average } } }'],
    ['person', '{ person(id: "p:1") { name } }'],
  ])('with an unreadable table %s, %s is an error and never an empty result', async (table, query) => {
    await subgraph.pool.query(
      `INSERT INTO person (id, name) VALUES ('p:1', 'Somebody') ON CONFLICT DO NOTHING`,
    );
    expect((await subgraph.ask(query)).errors).toBeUndefined();
    await subgraph.pool.query(`ALTER TABLE ${table} RENAME TO ${table}_renamed`);
    try {
      const { data, errors } = await subgraph.ask(query);
      expect(errors).toEqual([
        expect.objectContaining({ message: 'Internal error', extensions: { code: 'INTERNAL_SERVER_ERROR' } }),
      ]);
      expect(valueAt(data, errors?.[0]?.path ?? [])).toBeNull();
    } finally {
      await subgraph.pool.query(`ALTER TABLE ${table}_renamed RENAME TO ${table}`);
    }
  });
});

describe('an arbitrary request body', () => {
  const valid = JSON.stringify({
    query: 'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
    variables: { input: { title: 'x', cast: [{ person: { name: 'n' }, character: null }] } },
  });

  /** A random generator with a seed, so that a failure can be reproduced. */
  const randomFrom = (seed: number) => {
    let state = seed;
    return (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  };

  const mutate = (text: string, random: (below: number) => number) => {
    const at = random(text.length);
    switch (random(5)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + text.slice(at + 1 + random(20));
      case 2:
        return text.slice(0, at) + String.fromCharCode(random(0x250)) + text.slice(at + 1);
      case 3:
        return text.replace(
          /"[a-z]+"|null|\[|\{/g,
          (part) => (random(4) === 0 ? ['null', '[]', '{}', '-1e99', '""'][random(5)] : part) ?? part,
        );
      default:
        return text.slice(at) + text.slice(0, at);
    }
  };

  it('the process responds to arbitrary bodies with 4xx or GraphQL errors and stays up', async () => {
    const seed = 20_261_121;
    const random = randomFrom(seed);
    const sign = createIdentitySigner(testSubgraphKey, metadata.name, systemClock);
    const bodies = [
      '',
      'null',
      '[]',
      '{}',
      '1',
      '"x"',
      '{"query":null}',
      '{"query":{}}',
      '{"query":"{","variables":[]}',
      '[{"query":"{__typename}"}]',
      '{"query":"{__typename}","variables":"x"}',
      '{"query":"{__typename}","operationName":5}',
      '{"query":"{__typename}","extensions":7}',
    ];
    for (let count = 0; count < 300; count += 1) bodies.push(mutate(valid, random));
    for (const body of bodies) {
      const response = await fetch(`${subgraph.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [identityHeader]: sign({ id: 'ana', scopes: [] }) },
        body,
      });
      const text = await response.text();
      expect([
        seed,
        body,
        response.status < 500,
        /INTERNAL_SERVER_ERROR|node_modules|\\n\s+at /.test(text),
      ]).toEqual([seed, body, true, false]);
    }
    expect((await fetch(`${subgraph.url}/health/live`)).status).toBe(200);
    expect((await subgraph.ask('{ movies { totalCount } }')).errors).toBeUndefined();
  });
});

/** Returns the value at the path of an error; null if null spread above it. */
const valueAt = (data: unknown, path: readonly (string | number)[]): unknown =>
  path.reduce(
    (value, key) => (value as Record<string | number, unknown> | null)?.[key] ?? null,
    data ?? null,
  );
