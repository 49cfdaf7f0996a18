import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { askerOf, mutation, rootQuery, sendJson, useClient, type StartedClient } from './support/fetching.js';

const start = useClient();

const ask = ({ client }: StartedClient) => client.fetch(rootQuery, askerOf());
const codeOf = ({ failure }: { failure: { extensions: Record<string, unknown> } | undefined }) =>
  failure?.extensions['code'];

describe('a failed fetch that is sent again', () => {
  it('a subgraph that fails three of ten fetches receives at most a fifth more than is asked', async () => {
    const asked = 1_000;
    let count = 0;
    const subgraph = await start(
      (_request, response) => {
        count += 1;
        // 7 and 10 have no common factor, so that three in ten fail, never many in a row.
        const fails = (count * 7) % 10 < 3;
        sendJson(response, fails ? 'busy' : { data: { best: 1 } }, fails ? 503 : 200);
      },
      { coalesces: false },
    );
    let failed = 0;
    for (let round = 0; round < asked / 50; round += 1) {
      const results = await Promise.all(Array.from({ length: 50 }, () => ask(subgraph)));
      failed += results.filter(({ failure }) => failure !== undefined).length;
    }

    expect(subgraph.received.length).toBeLessThanOrEqual(asked * 1.2);
    expect(subgraph.received.length).toBeGreaterThan(asked * 1.1);
    expect(failed).toBeLessThan(asked * 0.25);
  });

  it('a mutation that failed is never sent again', async () => {
    const subgraph = await start((request, response) => {
      const fails = request.query.startsWith('mutation');
      sendJson(response, fails ? 'busy' : { data: { best: 1 } }, fails ? 503 : 200);
    });
    for (let n = 0; n < 30; n += 1) await ask(subgraph);
    const results = [];
    for (let n = 0; n < 5; n += 1) results.push(await subgraph.client.fetch(mutation, askerOf()));

    expect(results.map(codeOf)).toEqual(Array.from({ length: 5 }, () => 'SUBGRAPH_UNAVAILABLE'));
    expect(subgraph.received.filter(({ query }) => query.startsWith('mutation'))).toHaveLength(5);
  });

  it.each([
    ['HTTP 502', 502, 'bad gateway', true],
    ['HTTP 503', 503, 'busy', true],
    ['HTTP 504', 504, 'late', true],
    ['HTTP 500', 500, 'broken', false],
    [
      'HTTP 503 and a GraphQL error',
      503,
      { errors: [{ message: 'no', extensions: { code: 'OVERLOADED' } }] },
      false,
    ],
  ] as const)('whether a query is sent again after %s', async (_what, status, body, isRetried) => {
    let fails = false;
    const subgraph = await start((_request, response) => {
      if (fails) sendJson(response, body, status);
      else sendJson(response, { data: { best: 1 } });
      fails = false;
    });
    for (let n = 0; n < 10; n += 1) await ask(subgraph);
    fails = true;
    const { data } = await ask(subgraph);

    expect(data).toEqual(isRetried ? { best: 1 } : undefined);
    expect(subgraph.received).toHaveLength(isRetried ? 12 : 11);
  });

  it('a query whose deadline comes before the retry ends at once', async () => {
    let fails = false;
    const subgraph = await start((_request, response) => {
      sendJson(response, fails ? 'busy' : { data: { best: 1 } }, fails ? 503 : 200);
    });
    for (let n = 0; n < 10; n += 1) await ask(subgraph);
    fails = true;
    const asker = askerOf();
    asker.deadline.dueAtMs = performance.now() + 20;

    expect(codeOf(await subgraph.client.fetch(rootQuery, asker))).toBe('SUBGRAPH_UNAVAILABLE');
    expect(subgraph.received).toHaveLength(11);
  });
});

describe('the breaker of a subgraph', () => {
  const startAt = async (answer: Parameters<typeof start>[0]) => {
    const time = { ms: 0 };
    const subgraph = await start(answer, { coalesces: false, clock: { now: () => new Date(time.ms) } });
    return { subgraph, time };
  };
  const askTimes = async (subgraph: StartedClient, count: number) => {
    for (let n = 0; n < count; n += 1) await ask(subgraph);
  };

  it('fetches from a subgraph that is down fail within 10 ms, and succeed a second after its return', async () => {
    const { subgraph, time } = await startAt((_request, response) =>
      sendJson(response, { data: { best: 1 } }),
    );
    await ask(subgraph);
    await subgraph.close();
    await askTimes(subgraph, 15);
    const startedAt = performance.now();
    const results = await Promise.all(Array.from({ length: 50 }, () => ask(subgraph)));
    expect(performance.now() - startedAt).toBeLessThan(10);
    expect(results.map(codeOf)).toEqual(results.map(() => 'SUBGRAPH_UNAVAILABLE'));

    await subgraph.restart();
    time.ms += 1_000;
    expect((await ask(subgraph)).data).toEqual({ best: 1 });
    expect((await ask(subgraph)).data).toEqual({ best: 1 });
    expect(JSON.stringify(subgraph.log.filter(({ level }) => level !== 30))).toContain('a subgraph fails');
  });

  it('a frozen subgraph costs its deadline until the breaker opens, and nothing afterwards', async () => {
    const { subgraph, time } = await startAt(() => undefined);
    const asking = Array.from({ length: 12 }, () => {
      const asker = askerOf();
      return { asker, result: subgraph.client.fetch(rootQuery, asker) };
    });
    await until(() => subgraph.received.length === 12);
    time.ms += 500;
    for (const { asker } of asking) asker.deadline.abort('deadline');
    for (const { result } of asking) expect(codeOf(await result)).toBe('DEADLINE_EXCEEDED');

    expect(codeOf(await ask(subgraph))).toBe('SUBGRAPH_UNAVAILABLE');
    expect(subgraph.received).toHaveLength(12);
  });

  it('clients that leave, and deadlines that were nearly over, do not open it', async () => {
    const { subgraph } = await startAt(() => undefined);
    for (const reason of ['client left', 'deadline'] as const) {
      for (let n = 0; n < 15; n += 1) {
        const asker = askerOf();
        const result = subgraph.client.fetch(rootQuery, asker);
        await until(() => subgraph.received.length > n);
        asker.deadline.abort(reason);
        await result;
      }
      subgraph.received.length = 0;
    }
    void ask(subgraph);
    await until(() => subgraph.received.length === 1);
  });

  it.each([
    ['refusals', 'FORBIDDEN', false],
    ['refusals with a code of the subgraph', 'THING_LOCKED', false],
    ['internal errors', 'INTERNAL_SERVER_ERROR', true],
    ['an unavailable store', 'STORE_UNAVAILABLE', true],
  ])('responses without data that hold %s: whether they open it', async (_what, code, opens) => {
    const { subgraph } = await startAt((_request, response) =>
      sendJson(response, { data: null, errors: [{ message: 'no', extensions: { code } }] }),
    );
    await askTimes(subgraph, 12);

    expect(subgraph.received).toHaveLength(opens ? 10 : 12);
  });

  it('errors beside data do not open it', async () => {
    const { subgraph } = await startAt((_request, response) =>
      sendJson(response, { data: { best: null }, errors: [{ message: 'broken', path: ['best'] }] }),
    );
    await askTimes(subgraph, 12);

    expect(subgraph.received).toHaveLength(12);
  });
});
