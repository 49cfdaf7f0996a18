import type { ServerResponse } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import {
  askerOf,
  entityQuery,
  idsOf,
  mutation,
  rootQuery,
  scores,
  sendJson,
  useClient,
} from './support/fetching.js';

const start = useClient();

/** A subgraph whose responses wait until `finish` is called. */
const startWaiting = async (body: unknown) => {
  const waiting: ServerResponse[] = [];
  const subgraph = await start((_request, response) => void waiting.push(response));
  return {
    ...subgraph,
    waiting,
    finish: () => {
      for (const response of waiting.splice(0)) sendJson(response, body);
    },
  };
};

describe('identical queries in flight', () => {
  it('identical queries share one request, and each result can be changed alone', async () => {
    const { client, received, waiting, finish } = await startWaiting({ data: { best: { names: ['a'] } } });
    const results = [client.fetch(rootQuery, askerOf()), client.fetch(rootQuery, askerOf())];
    await until(() => waiting.length === 1);
    results.push(client.fetch(rootQuery, askerOf()));
    finish();
    const [first, second, third] = await Promise.all(results);
    (first?.data?.['best'] as { names: string[] }).names.push('b');

    expect(received).toHaveLength(1);
    expect(first?.data).toEqual({ best: { names: ['a', 'b'] } });
    expect(second?.data).toEqual({ best: { names: ['a'] } });
    expect(third?.data).toEqual({ best: { names: ['a'] } });
  });

  it.each([
    ['another viewer', rootQuery, askerOf('ann'), askerOf('bob')],
    ['nobody as the viewer', rootQuery, askerOf('ann'), askerOf()],
    ['other scopes of the viewer', rootQuery, askerOf('ann'), askerOf('ann', {}, ['admin'])],
    ['another forwarded header', rootQuery, askerOf('ann', { a: '1' }), askerOf('ann', { a: '2' })],
    ['a forwarded header more', rootQuery, askerOf('ann', { a: '1' }), askerOf('ann', { a: '1', b: '' })],
    ['other entities', entityQuery('1'), askerOf(), askerOf()],
  ])('a query with %s does not share the request', async (_what, query, asker, other) => {
    const { client, waiting, finish } = await startWaiting({ data: { _entities: [{ score: 1 }] } });
    const results = [client.fetch(query, asker)];
    await until(() => waiting.length === 1);
    results.push(client.fetch(query === rootQuery ? rootQuery : entityQuery('2'), other));
    await until(() => waiting.length === 2);
    finish();
    await Promise.all(results);
  });

  it('queries whose documents differ only in their names share one request', async () => {
    const { client, received } = await start((_request, response) =>
      sendJson(response, { data: { best: 1 } }),
    );
    const results = await Promise.all(
      ['"query a{best}"', '"query b{best}"'].map((query) =>
        client.fetch({ ...rootQuery, query, unnamed: rootQuery.query }, askerOf()),
      ),
    );

    expect(results.map(({ data }) => data)).toEqual([{ best: 1 }, { best: 1 }]);
    expect(received.map(({ query }) => query)).toEqual(['query a{best}']);
  });

  it('queries that differ in a header that the subgraph does not receive share one request', async () => {
    const { client, received } = await start((_request, response) =>
      sendJson(response, { data: { best: 1 } }),
    );
    await Promise.all(
      ['1', '2'].map((tenant) => client.fetch(rootQuery, askerOf('ann', { a: '1', 'x-tenant': tenant }))),
    );

    expect(received.map(({ headers }) => [headers['a'], headers['x-tenant']])).toEqual([['1', undefined]]);
  });

  it('queries of two viewers share one request of a subgraph that receives no viewer', async () => {
    const { client, received } = await start(
      (_request, response) => sendJson(response, { data: { best: 1 } }),
      { isSigned: false },
    );
    await Promise.all(['ann', 'bob'].map((id) => client.fetch(rootQuery, askerOf(id))));

    expect(received).toHaveLength(1);
  });

  it('a query that starts when a mutation has ended does not share an older request', async () => {
    const { client, received, waiting, finish } = await startWaiting({ data: { best: 1, reset: true } });
    const before = client.fetch(rootQuery, askerOf());
    await until(() => waiting.length === 1);
    const [older] = waiting.splice(0);
    const written = client.fetch(mutation, askerOf());
    await until(() => waiting.length === 1);
    finish();
    await written;
    const after = client.fetch(rootQuery, askerOf());
    await until(() => waiting.length === 1);
    finish();
    await after;
    if (older) sendJson(older, { data: { best: 0 } });

    expect((await before).data).toEqual({ best: 0 });
    expect(received).toHaveLength(3);
  });

  it('identical mutations are sent each', async () => {
    const { client, waiting, finish } = await startWaiting({ data: { reset: true } });
    const results = [client.fetch(mutation, askerOf()), client.fetch(mutation, askerOf())];
    await until(() => waiting.length === 2);
    finish();
    await Promise.all(results);
  });

  it('a client that leaves ends its own query, and the request only if nobody else waits', async () => {
    let closed = 0;
    const { client, waiting } = await startWaiting({});
    const ann = askerOf();
    const bob = askerOf();
    const results = [client.fetch(rootQuery, ann), client.fetch(rootQuery, bob)];
    await until(() => waiting.length === 1);
    waiting[0]?.once('close', () => (closed += 1));
    ann.deadline.abort('client left');
    expect((await results[0])?.failure?.extensions['code']).toBe('DEADLINE_EXCEEDED');
    expect(waiting[0]?.destroyed).toBe(false);

    bob.deadline.abort('deadline');
    expect((await results[1])?.failure?.extensions['code']).toBe('DEADLINE_EXCEEDED');
    await until(() => closed === 1);
  });

  it('a query does not share a request that has less than half of its own time', async () => {
    const { client, waiting, finish } = await startWaiting({ data: { best: 1 } });
    const hasty = askerOf();
    hasty.deadline.dueAtMs = performance.now() + 3_000;
    const results = [client.fetch(rootQuery, hasty), client.fetch(rootQuery, askerOf())];
    await until(() => waiting.length === 2);
    finish();
    await Promise.all(results);
  });

  it('nothing is shared if the switch of the subgraph is off', async () => {
    const { client, received } = await start(
      (_request, response) => sendJson(response, { data: { best: 1 } }),
      {
        coalesces: false,
      },
    );
    await Promise.all([client.fetch(rootQuery, askerOf()), client.fetch(rootQuery, askerOf())]);

    expect(received).toHaveLength(2);
  });
});

describe('fetches of entities in one tick', () => {
  it('fetches of entities are merged, and each representation is sent once', async () => {
    const { client, received } = await start((request, response) => sendJson(response, scores(request)));
    const results = await Promise.all([
      client.fetch(entityQuery('1', '2'), askerOf()),
      client.fetch(entityQuery('3', '2', '2'), askerOf()),
      client.fetch(entityQuery('1', '2'), askerOf()),
    ]);

    expect(received.map(idsOf)).toEqual([['1', '2', '3']]);
    expect(results.map(({ data }) => data)).toEqual(
      [
        [1, 2],
        [3, 2, 2],
        [1, 2],
      ].map((own) => ({ _entities: own.map((score) => ({ score })) })),
    );
    const objects = results.flatMap(({ data }) => data?.['_entities'] as object[]);
    expect(new Set(objects).size).toBe(7);
  });

  it('fetches whose documents differ only in their names are merged', async () => {
    const { client, received } = await start((request, response) => sendJson(response, scores(request)));
    await Promise.all(
      ['1', '2'].map((id) => {
        const { query, ...request } = entityQuery(id);
        return client.fetch(
          { ...request, query: query.replace('query', `query Q${id}`), unnamed: query },
          askerOf(),
        );
      }),
    );

    expect(received.map(idsOf)).toEqual([['1', '2']]);
    expect(received[0]?.query).toMatch(/^query Q1\(/);
  });

  it('each fetch gets the errors of its own entities, with their positions in it', async () => {
    const { client } = await start((request, response) => {
      const errors = idsOf(request).map((id, index) => ({
        message: `entity ${id} is locked`,
        path: ['_entities', index, 'score'],
        extensions: { code: 'THING_LOCKED' },
      }));
      sendJson(response, { ...scores(request), errors: [...errors.slice(1), { message: 'slow' }] });
    });
    const [first, second] = await Promise.all([
      client.fetch(entityQuery('1', '2'), askerOf()),
      client.fetch(entityQuery('3', '2'), askerOf()),
    ]);
    const shownOf = ({ errors }: typeof first) => errors.map(({ message, path }) => [message, path]);

    expect(shownOf(first)).toEqual([
      ['entity 2 is locked', ['_entities', 1, 'score']],
      ['slow', undefined],
    ]);
    expect(shownOf(second)).toEqual([
      ['entity 2 is locked', ['_entities', 1, 'score']],
      ['entity 3 is locked', ['_entities', 0, 'score']],
      ['slow', undefined],
    ]);
  });

  it('a request that is refused because of another fetch is sent again for each fetch alone', async () => {
    const { client, received } = await start((request, response) => {
      const ids = idsOf(request);
      if (ids.includes('bad')) {
        sendJson(response, {
          data: null,
          errors: [{ message: 'no', extensions: { code: 'BAD_USER_INPUT' } }],
        });
      } else sendJson(response, scores(request));
    });
    const [good, bad] = await Promise.all([
      client.fetch(entityQuery('1'), askerOf()),
      client.fetch(entityQuery('bad'), askerOf()),
    ]);

    expect(good.data).toEqual({ _entities: [{ score: 1 }] });
    expect(bad.errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(received).toHaveLength(3);
  });

  it('a merged request has at most 500 representations, and a larger fetch is never split', async () => {
    const { client, received } = await start((request, response) => sendJson(response, scores(request)));
    const range = (from: number, count: number) => Array.from({ length: count }, (_, n) => String(from + n));
    await Promise.all([
      client.fetch(entityQuery(...range(0, 300)), askerOf()),
      client.fetch(entityQuery(...range(300, 200)), askerOf()),
      client.fetch(entityQuery(...range(500, 1)), askerOf()),
      client.fetch(entityQuery(...range(1_000, 700)), askerOf()),
    ]);

    expect(received.map((request) => idsOf(request).length).sort((a, b) => a - b)).toEqual([1, 500, 700]);
  });

  it('a client that leaves does not end the request of the others, and all of them together do', async () => {
    let closed = 0;
    const { client, waiting } = await startWaiting({});
    const askers = [askerOf(), askerOf(), askerOf()];
    const results = askers.map((asker, index) => client.fetch(entityQuery(String(index)), asker));
    await until(() => waiting.length === 1);
    waiting[0]?.once('close', () => (closed += 1));
    askers[0]?.deadline.abort('client left');
    await results[0];
    askers[1]?.deadline.abort('client left');
    await results[1];
    expect(waiting[0]?.destroyed).toBe(false);

    askers[2]?.deadline.abort('client left');
    await results[2];
    await until(() => closed === 1);
  });

  it('fetches of another viewer, with other scopes, of other variables, or of another document are requests of their own', async () => {
    const { client, received } = await start((request, response) => sendJson(response, scores(request)));
    await Promise.all([
      client.fetch(entityQuery('1'), askerOf()),
      client.fetch(entityQuery('2'), askerOf('ann')),
      client.fetch(entityQuery('3'), askerOf('ann', { authorization: 'b' })),
      client.fetch(entityQuery('6'), askerOf('ann', {}, ['admin'])),
      client.fetch({ ...entityQuery('4'), variables: '"first":1' }, askerOf()),
      client.fetch(
        {
          ...entityQuery('5'),
          query: '"query($representations:[_Any!]!){_entities(representations:$representations){rank}}"',
        },
        askerOf(),
      ),
    ]);

    expect(received).toHaveLength(6);
  });
});

describe('many clients', () => {
  it('none of 500 concurrent clients with 50 identities sees what was fetched for another identity', async () => {
    /** The identity for which the subgraph was asked, in each value of its response. */
    const { client, received } = await start((request, response) => {
      const seen = `${String(request.headers['x-cinegraph-identity'])} ${String(request.headers['authorization'])}`;
      const data = request.variables.representations
        ? { _entities: idsOf(request).map((id) => ({ score: `${id} for ${seen}` })) }
        : { best: seen };
      setImmediate(() => sendJson(response, { data }));
    });
    const wrong: unknown[] = [];
    const runClient = async (index: number) => {
      const id = `viewer ${index % 10}`;
      const authorization = `token ${Math.floor(index / 10) % 5}`;
      const seen = `${id} ${authorization}`;
      for (let n = 0; n < 10; n += 1) {
        // The subgraph receives the first of these headers, and not the second.
        const asker = askerOf(id, { authorization, 'x-client': String(index) });
        const root = await client.fetch(rootQuery, asker);
        const ids = [String(n), String(n + (index % 3))];
        const entities = await client.fetch(entityQuery(...ids), asker);
        const expected = { best: seen, _entities: ids.map((entity) => ({ score: `${entity} for ${seen}` })) };
        const got = { ...root.data, ...entities.data };
        if (JSON.stringify(got) !== JSON.stringify(expected)) wrong.push({ got, expected });
      }
    };
    await Promise.all(Array.from({ length: 500 }, (_, index) => runClient(index)));

    expect(wrong.slice(0, 1)).toEqual([]);
    expect(received.length).toBeLessThan(500 * 10 * 2 * 0.6);
  });
});
