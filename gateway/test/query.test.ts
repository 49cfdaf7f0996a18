import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { createIdentityReader, identityHeader } from '@cinegraph/service/identity';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

const subgraphKey = 'a-key-for-tests-that-is-long-enough-to-be-taken';

const startedIn = (env: Record<string, string>) => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld(env);
  });
  afterEach(() => {
    world.things.seen.length = 0;
    world.scores.seen.length = 0;
  });
  afterAll(() => world.stop());
  return () => world;
};

const seenBy = (subgraph: World['things']) => {
  const [request] = subgraph.seen;
  if (!request) throw new Error('the subgraph was not asked');
  return request;
};

describe('a query over two subgraphs', () => {
  const world = startedIn({});

  it('is answered whole, with exactly one fetch to each', async () => {
    const { status, body } = await world().ask('{ things(count: 100) { id name score } }');

    expect(status).toBe(200);
    expect(body.errors).toBeUndefined();
    expect(body.data?.['things']).toHaveLength(100);
    expect((body.data?.['things'] as unknown[])[2]).toEqual({ id: '2', name: 'two', score: 20 });
    expect([world().things.seen.length, world().scores.seen.length]).toEqual([1, 1]);
    expect(seenBy(world().scores).variables['representations']).toHaveLength(100);
  });

  it('hands variables on, also those of a GET', async () => {
    const search = new URLSearchParams({
      query: 'query Of($count: Int) { things(count: $count) { label: name } }',
      variables: '{"count":2}',
      operationName: 'Of',
    });
    const response = await fetch(`${world().url}/graphql?${search.toString()}`, {
      headers: { 'apollo-require-preflight': 'yes' },
    });

    expect(await response.json()).toEqual({ data: { things: [{ label: 'zero' }, { label: 'one' }] } });
  });

  it('uses a connection again', async () => {
    for (let n = 0; n < 5; n += 1) await world().ask('{ things { id } }');

    expect(world().things.seen).toHaveLength(5);
    expect(world().things.connections()).toBe(1);
  });

  it('tells the subgraph how much of the time is left', async () => {
    await world().ask('{ things { score } }');

    for (const subgraph of [world().things, world().scores]) {
      const remainingMs = Number(seenBy(subgraph).headers['x-deadline-ms']);
      expect(remainingMs).toBeGreaterThan(0);
      expect(remainingMs).toBeLessThanOrEqual(10_000);
    }
  });
});

describe('who is asking', () => {
  const world = startedIn({ SUBGRAPH_KEY: subgraphKey });
  const readAs = (subgraph: World['things'], name: string) =>
    createIdentityReader(subgraphKey, name, systemClock)(String(seenBy(subgraph).headers[identityHeader]));

  it('is told each subgraph in a signature of its own', async () => {
    await world().ask('{ things { score } }', { headers: { 'x-viewer-id': 'alice' } });

    expect(readAs(world().things, 'things')).toEqual({ id: 'alice' });
    expect(readAs(world().scores, 'scores')).toEqual({ id: 'alice' });
    expect(readAs(world().scores, 'things')).toBe('invalid');
  });

  it('is nobody without the header, and that is signed too', async () => {
    await world().ask('{ things { id } }');

    expect(readAs(world().things, 'things')).toBeNull();
  });

  it('is never what a client claims in the signed header', async () => {
    await world().ask('{ things { id } }', { headers: { [identityHeader]: 'v1.9999999999.YWxpY2U.forged' } });

    expect(readAs(world().things, 'things')).toBeNull();
  });

  it('is refused when the development header is no id', async () => {
    const { status, body } = await world().ask('{ things { id } }', { headers: { 'x-viewer-id': 'a b' } });

    expect(status).toBe(400);
    expect(body.errors?.[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
    expect(world().things.seen).toEqual([]);
  });
});

describe('headers of the client', () => {
  const world = startedIn({ FORWARD_HEADERS: 'X-Tenant, accept-language' });
  const headers = {
    'x-viewer-id': 'alice',
    [identityHeader]: 'v1.9999999999.YWxpY2U.forged',
    'x-deadline-ms': '1',
    authorization: 'Bearer secret',
    cookie: 'a=b',
    'x-tenant': 'north',
  };

  it('reach a subgraph only when they are listed', async () => {
    await world().ask('{ things { id } }', { headers });

    const sent = seenBy(world().things).headers;
    expect(sent['x-tenant']).toBe('north');
    for (const name of ['x-viewer-id', identityHeader, 'authorization', 'cookie']) {
      expect(sent[name]).toBeUndefined();
    }
    expect(Number(sent['x-deadline-ms'])).toBeGreaterThan(1);
  });
});

describe('in production', () => {
  const world = startedIn({ NODE_ENV: 'production', SUBGRAPH_KEY: subgraphKey });

  it('the development header is ignored, usable or not', async () => {
    for (const id of ['alice', 'not an id']) {
      const { status } = await world().ask('{ things { id } }', { headers: { 'x-viewer-id': id } });
      expect(status).toBe(200);
    }

    for (const { headers } of world().things.seen) {
      expect(
        createIdentityReader(subgraphKey, 'things', systemClock)(String(headers[identityHeader])),
      ).toBeNull();
      expect(headers['x-viewer-id']).toBeUndefined();
    }
    expect(world().things.seen).toHaveLength(2);
  });
});
