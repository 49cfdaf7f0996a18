import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { createIdentityReader, identityHeader } from '@cinegraph/service/identity';
import { bearerOf } from '@cinegraph/testing/tokens';
import { until } from '@cinegraph/testing/until';
import { useWorld, type World } from './support/world.js';

const subgraphKey = 'a-key-for-tests-that-is-long-enough-to-be-taken';

const startedIn = (env: Record<string, string>) => {
  const world = useWorld(env);
  afterEach(() => {
    world().things.seen.length = 0;
    world().scores.seen.length = 0;
  });
  return world;
};

const seenBy = (subgraph: World['things']) => {
  const [request] = subgraph.seen;
  if (!request) throw new Error('the subgraph was not asked');
  return request;
};

describe('a query over two subgraphs', () => {
  const world = startedIn({});

  it('a query over two subgraphs takes exactly one fetch from each', async () => {
    const { status, body } = await world().ask('{ things(count: 100) { id name score } }');

    expect(status).toBe(200);
    expect(body.errors).toBeUndefined();
    expect(body.data?.['things']).toHaveLength(100);
    expect((body.data?.['things'] as unknown[])[2]).toEqual({ id: '2', name: 'two', score: 20 });
    expect([world().things.seen.length, world().scores.seen.length]).toEqual([1, 1]);
    expect(seenBy(world().scores).variables['representations']).toHaveLength(100);
  });

  it('variables reach the subgraph, also those of a GET', async () => {
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

  it('a connection to a subgraph is used again', async () => {
    for (let n = 0; n < 5; n += 1) await world().ask('{ things { id } }');

    expect(world().things.seen).toHaveLength(5);
    expect(world().things.connections()).toBe(1);
  });

  it('a fetch carries how many milliseconds of the deadline are left', async () => {
    await world().ask('{ things { score } }');

    for (const subgraph of [world().things, world().scores]) {
      const remainingMs = Number(seenBy(subgraph).headers['x-deadline-ms']);
      expect(remainingMs).toBeGreaterThan(0);
      expect(remainingMs).toBeLessThanOrEqual(10_000);
    }
  });
});

describe('two queries', () => {
  const world = startedIn({});

  it('two different queries with the same fetch share it', async () => {
    const [first, second, other] = [
      'query First { things { id } }',
      'query Second { items: things { id } }',
      'query Other { loose { id } }',
    ];
    for (const query of [second, other]) await world().ask(query);
    world().things.seen.length = 0;
    const waiting: ServerResponse[] = [];
    world().things.misbehave((response) => void waiting.push(response));
    const answers = [world().ask(first)];
    await until(() => waiting.length === 1);
    // The gateway has started what the second needs when the third has reached the subgraph.
    answers.push(world().ask(second), world().ask(other));
    await until(() => waiting.length === 2);
    world().things.misbehave(undefined);
    const things = [{ __typename: 'Thing', id: '0' }];
    for (const response of waiting)
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ data: { things, loose: things } }));

    expect((await Promise.all(answers)).map(({ body }) => body.data)).toEqual([
      { things: [{ id: '0' }] },
      { items: [{ id: '0' }] },
      { loose: [{ id: '0' }] },
    ]);
    expect(world().things.seen).toHaveLength(2);
  });
});

describe('who is asking', () => {
  const world = startedIn({ SUBGRAPH_KEY: subgraphKey });
  const readAs = (subgraph: World['things'], name: string) =>
    createIdentityReader(subgraphKey, name, systemClock)(String(seenBy(subgraph).headers[identityHeader]));

  it('the viewer and the scopes of the token are signed for each subgraph with another key', async () => {
    await world().ask('{ things { score } }', { headers: bearerOf('alice', { scopes: ['write', 'admin'] }) });

    const alice = { id: 'alice', scopes: ['admin', 'write'] };
    expect(readAs(world().things, 'things')).toEqual(alice);
    expect(readAs(world().scores, 'scores')).toEqual(alice);
    expect(readAs(world().scores, 'things')).toBe('invalid');
  });

  it('a request without a token is signed as nobody, whatever identity its headers claim', async () => {
    const claimed = { [identityHeader]: 'v2.9999999999.YWxpY2U.forged', 'x-user-id': 'alice' };
    for (const headers of [{}, claimed]) {
      await world().ask('{ things { id } }', { headers });

      expect(readAs(world().things, 'things')).toBeNull();
      world().things.seen.length = 0;
    }
  });
});

describe('who is asking, where CLIENT_FIELDS lists the fields that depend on it', () => {
  const world = startedIn({
    SUBGRAPH_KEY: subgraphKey,
    FORWARD_HEADERS: 'x-tenant',
    CLIENT_FIELDS: 'Query.best,Query.none',
  });

  it('only a fetch with one of the fields, and a mutation, carry the viewer and the headers', async () => {
    const headers = { ...bearerOf('alice'), 'x-tenant': 'north' };
    await world().ask('{ things { score } best { id } }', { headers });
    await world().ask('mutation { rename(id: "1", name: "uno") { id } }', { headers });
    const read = (name: 'things' | 'scores') =>
      world()[name].seen.map((request) => {
        const identity = String(request.headers[identityHeader]);
        const viewer = createIdentityReader(subgraphKey, name, systemClock)(identity);
        return [viewer ?? 'nobody', request.headers['x-tenant']];
      });
    const alice = [{ id: 'alice', scopes: [] }, 'north'];

    expect(read('things')).toEqual([['nobody', undefined], alice]);
    expect(read('scores')).toHaveLength(2);
    expect(read('scores')).toEqual(expect.arrayContaining([['nobody', undefined], alice]));
    expect(world().log.filter(({ field }) => field === 'Query.none')).toHaveLength(1);
  });
});

describe('headers of the client', () => {
  const world = startedIn({ FORWARD_HEADERS: 'X-Tenant, accept-language' });
  const headers = {
    ...bearerOf('alice'),
    [identityHeader]: 'v2.9999999999.YWxpY2U.forged',
    'x-deadline-ms': '1',
    cookie: 'a=b',
    'x-user-id': 'root',
    'x-user-roles': 'admin',
    'x-viewer-id': 'root',
    'x-gateway-secret': 'guessed',
    'x-tenant': 'north',
  };

  it('client headers reach a subgraph only if they are listed in FORWARD_HEADERS', async () => {
    await world().ask('{ things { id } }', { headers });

    const { 'x-tenant': tenant, 'x-deadline-ms': remainingMs, ...sent } = seenBy(world().things).headers;
    expect(tenant).toBe('north');
    expect(Number(remainingMs)).toBeGreaterThan(1);
    for (const name of Object.keys(headers)) expect({ name, value: sent[name] }).toEqual({ name });
  });
});

describe('headers of the client for single subgraphs', () => {
  const world = startedIn({
    FORWARD_HEADERS: 'x-tenant',
    FORWARD_HEADERS_THINGS: '',
    FORWARD_HEADERS_SCORES: 'x-tenant,x-user',
  });

  it('a header reaches only the subgraphs for which it is listed, and the response varies by all of them', async () => {
    const answers = await Promise.all(
      ['ann', 'bob'].map((user) =>
        world().ask('{ things { id score } }', { headers: { 'x-tenant': 'north', 'x-user': user } }),
      ),
    );
    const received = ({ seen }: World['things']) =>
      seen.map(({ headers }) => [headers['x-tenant'], headers['x-user']]);

    expect(new Set(received(world().things).flat())).toEqual(new Set([undefined]));
    expect(received(world().scores).sort()).toEqual([
      ['north', 'ann'],
      ['north', 'bob'],
    ]);
    for (const { headers } of answers) {
      expect(headers.get('vary')?.toLowerCase()).toMatch(/x-tenant.*x-user/);
      expect(headers.get('cache-control')).toBe('private, no-store');
    }
  });
});

describe('headers of subgraphs', () => {
  const world = startedIn({ RETURN_HEADERS: 'X-Cost' });

  it('the client receives headers of subgraphs only if RETURN_HEADERS lists them; the first one wins', async () => {
    const respond = (cost: string, data: unknown) => (response: ServerResponse) =>
      void response
        .writeHead(200, { 'content-type': 'application/json', 'x-cost': cost, 'x-host': 'internal' })
        .end(JSON.stringify({ data }));
    world().things.misbehave(respond('1', { things: [{ __typename: 'Thing', id: '1' }] }));
    world().scores.misbehave(respond('2', { _entities: [{ score: 1 }] }));
    const answers = await Promise.all(
      ['a', 'b'].map(async (name) => world().ask(`query ${name} { things { id score } }`)),
    );

    for (const { headers } of answers) {
      expect([headers.get('x-cost'), headers.get('x-host')]).toEqual(['1', null]);
    }
  });
});
