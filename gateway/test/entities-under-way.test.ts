import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import {
  askerOf,
  entityQuery,
  idsOf,
  mutation,
  scores,
  sendJson,
  startClient,
  type ReceivedRequest,
} from './support/fetching.js';

let started: Awaited<ReturnType<typeof startClient>> | undefined;
afterEach(async () => {
  await started?.stop();
  started = undefined;
});

describe('entities that are under way', () => {
  /** A subgraph whose responses wait. */
  const startHeld = async () => {
    const held: { request: ReceivedRequest; response: ServerResponse }[] = [];
    started = await startClient((request, response) => void held.push({ request, response }));
    const { client, received } = started;
    return {
      client,
      held,
      received: () => received.map(idsOf),
      finish: (answer: (request: ReceivedRequest) => unknown = scores) => {
        for (const { request, response } of held.splice(0)) sendJson(response, answer(request));
      },
    };
  };

  /** Starts a fetch of 1 and 2, and then one of 3, 2 and 1. */
  const startOverlapping = async (hasOwn = true) => {
    const subgraph = await startHeld();
    const askers = [askerOf(), askerOf()];
    const results = [subgraph.client.fetch(entityQuery('1', '2'), askers[0] ?? askerOf())];
    await until(() => subgraph.held.length === 1);
    const ids = hasOwn ? ['3', '2', '1'] : ['2'];
    results.push(subgraph.client.fetch(entityQuery(...ids), askers[1] ?? askerOf()));
    if (hasOwn) await until(() => subgraph.held.length === 2);
    return { ...subgraph, askers, results };
  };

  it('an entity that is under way is not asked for again, and each result can be changed alone', async () => {
    const { results, received, finish } = await startOverlapping();
    finish();
    const [first, second] = await Promise.all(results);
    (first?.data?.['_entities'] as { score: number }[]).forEach((entity) => (entity.score = 0));

    expect(received()).toEqual([['1', '2'], ['3']]);
    expect(second?.data).toEqual({ _entities: [{ score: 3 }, { score: 2 }, { score: 1 }] });
  });

  it('entities of a fetch that is under way are enough for a smaller one', async () => {
    const { results, received, finish } = await startOverlapping(false);
    finish();

    expect((await results[1])?.data).toEqual({ _entities: [{ score: 2 }] });
    expect(received()).toEqual([['1', '2']]);
  });

  it('an error of an entity reaches everyone who waits for it, at its position there', async () => {
    const { results, finish } = await startOverlapping();
    finish((request) => ({
      data: { _entities: idsOf(request).map(() => null) },
      errors: idsOf(request).map((id, index) => ({ message: `no ${id}`, path: ['_entities', index] })),
    }));
    const [first, second] = await Promise.all(results);
    const shownOf = (result: typeof first) => result?.errors.map(({ message, path }) => [message, path?.[1]]);

    expect(shownOf(first)).toEqual([
      ['no 1', 0],
      ['no 2', 1],
    ]);
    expect(shownOf(second)?.sort()).toEqual([
      ['no 1', 2],
      ['no 2', 1],
      ['no 3', 0],
    ]);
  });

  it('a fetch is sent alone if the request that it waits for is refused', async () => {
    const { results, received, held, finish } = await startOverlapping();
    finish((request) => (idsOf(request).length === 2 ? { data: null, errors: [{}] } : scores(request)));
    await until(() => held.length === 1);
    finish();
    const [first, second] = await Promise.all(results);

    expect(first?.data).toBeUndefined();
    expect(second?.data).toEqual({ _entities: [{ score: 3 }, { score: 2 }, { score: 1 }] });
    expect(received()).toEqual([['1', '2'], ['3'], ['3', '2', '1']]);
  });

  it('a fetch fails if the request that it waits for fails', async () => {
    const { results, finish } = await startOverlapping();
    finish((request) => (idsOf(request).length === 2 ? 'no response of GraphQL' : scores(request)));

    for (const result of await Promise.all(results))
      expect(result.failure?.extensions['code']).toBe('SUBGRAPH_UNAVAILABLE');
  });

  it('a client that leaves ends its own request, and not the one of another client', async () => {
    let closed = 0;
    const { results, held, askers, finish } = await startOverlapping();
    held[1]?.response.once('close', () => (closed += 1));
    askers[1]?.deadline.abort('client left');
    await until(() => closed === 1);
    held.splice(1);
    finish();

    expect((await results[0])?.data).toEqual({ _entities: [{ score: 1 }, { score: 2 }] });
    expect((await results[1])?.failure?.extensions['code']).toBe('DEADLINE_EXCEEDED');
  });

  it('a request serves a fetch that joined it when the client who started it has left', async () => {
    const { results, askers, finish } = await startOverlapping(false);
    askers[0]?.deadline.abort('client left');
    await results[0];
    finish();

    expect((await results[1])?.data).toEqual({ _entities: [{ score: 2 }] });
  });

  it('an entity is asked for again if its request has too little time, or began before a mutation ended', async () => {
    const { client, held, received, finish } = await startHeld();
    const hasty = askerOf();
    hasty.deadline.dueAtMs = performance.now() + 3_000;
    const results = [client.fetch(entityQuery('1'), hasty)];
    await until(() => held.length === 1);
    results.push(client.fetch(entityQuery('1'), askerOf()));
    await until(() => held.length === 2);
    const written = client.fetch(mutation, askerOf());
    await until(() => held.length === 3);
    for (const { response } of held.splice(2)) sendJson(response, { data: { reset: true } });
    await written;
    results.push(client.fetch(entityQuery('1', '2'), askerOf()));
    await until(() => held.length === 3);
    finish();
    await Promise.all(results);

    expect(received()).toEqual([['1'], ['1'], [], ['1', '2']]);
  });
});
