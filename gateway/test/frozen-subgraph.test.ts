import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { startWorld } from './support/world.js';

/** A subgraph in a process of its own. It prints its port. */
const subgraph = `
  require('node:http').createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const _entities = JSON.parse(body).variables.representations.map(({ id }) => ({ __typename: 'Thing', score: Number(id) }));
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ data: { _entities } }));
  }).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
`;

/** Longer than the wait after which a time-out counts as a failure of the subgraph. */
const deadlineMs = 1_000;

describe('a subgraph whose process is frozen', () => {
  let child: ChildProcess;
  let world: Awaited<ReturnType<typeof startWorld>>;
  beforeAll(async () => {
    child = spawn(process.execPath, ['-e', subgraph], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [port] = (await once(child.stdout!, 'data')) as [Buffer];
    world = await startWorld({
      DEADLINE_MS: String(deadlineMs),
      SUBGRAPH_URL_SCORES: `http://127.0.0.1:${String(port).trim()}/graphql`,
    });
  });
  afterAll(async () => {
    child.kill('SIGKILL');
    await world.stop();
  });

  it('costs its fields and the deadline under load, and nothing of other operations', async () => {
    const whole = { things: [0, 1, 2].map((id) => ({ id: String(id), score: id })) };
    const partial = { things: [0, 1, 2].map((id) => ({ id: String(id), score: null })) };
    const query = '{ things { id score } }';
    expect((await world.ask(query)).body).toEqual({ data: whole });

    child.kill('SIGSTOP');
    const asked = await Promise.all(
      Array.from({ length: 50 }, async (_, number) => {
        const affected = number % 2 === 0;
        const { status, body } = await world.ask(affected ? query : '{ things { id name } }');
        return { affected, status, body };
      }),
    );
    for (const { affected, status, body } of asked) {
      expect(status).toBe(200);
      if (!affected) {
        expect(body.errors).toBeUndefined();
        continue;
      }
      expect(body.data).toEqual(partial);
      const codes = new Set(body.errors?.map(({ extensions }) => extensions['code']));
      expect([...codes]).toEqual(['DEADLINE_EXCEEDED']);
    }

    // After some time-outs the breaker is open, and its fields fail at once.
    await until(async () => {
      const { body } = await world.ask(query);
      return body.errors?.[0]?.extensions['code'] === 'SUBGRAPH_UNAVAILABLE';
    });

    child.kill('SIGCONT');
    await until(async () => (await world.ask(query)).body.errors === undefined);
    expect((await world.ask(query)).body).toEqual({ data: whole });
  });
});
