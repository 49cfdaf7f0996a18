import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { buildGateway, type GatewayProcess, runGateway } from './support/process.js';
import { answers, type StubSubgraph } from './support/stub-subgraph.js';
import { askAt, compose, startStubs } from './support/world.js';

let stubs: { things: StubSubgraph; scores: StubSubgraph };
let folder: string;
let supergraphPath: string;
const running = new Set<GatewayProcess>();

const run = (env: Record<string, string>): GatewayProcess => {
  const gateway = runGateway(env);
  running.add(gateway);
  void gateway.exited.then(() => running.delete(gateway));
  return gateway;
};

beforeAll(async () => {
  await buildGateway();
  stubs = await startStubs();
  folder = await mkdtemp(path.join(tmpdir(), 'gateway-'));
  supergraphPath = path.join(folder, 'supergraph.graphql');
  await writeFile(supergraphPath, compose(Object.values(stubs)));
}, 120_000);

afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await Promise.all([...running].map(({ exited }) => exited));
  await Promise.all([stubs.things.stop(), stubs.scores.stop()]);
  await rm(folder, { recursive: true, force: true });
});

describe('the gateway as a process', () => {
  it('as many fetches as one request may cause travel in a few requests and give no warning', async () => {
    const gateway = run({ SUPERGRAPH_PATH: supergraphPath, PORT: '0', COALESCE: 'false' });
    const fields = Array.from({ length: 50 }, (_, n) => `a${n}: best { linked(first: ${n + 1}) { id } }`);
    const asked = stubs.things.seen.length;
    const { body } = await askAt(await gateway.url, `{ ${fields.join(' ')} }`);
    gateway.child.kill('SIGTERM');
    const { code, stderr } = await gateway.exited;

    expect(body.errors).toBeUndefined();
    expect(stubs.things.seen.length - asked).toBe(5);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each([
    [
      'a variable that is no value of its kind',
      { DEADLINE_MS: 'soon' },
      /^The environment is not usable:\n {2}DEADLINE_MS: must be a whole number of milliseconds\n$/,
    ],
    [
      'a file that is not there',
      { SUPERGRAPH_PATH: '/nowhere.graphql' },
      /^SUPERGRAPH_PATH: the file \/nowhere\.graphql cannot be read.*\n$/,
    ],
    [
      'a file that is no supergraph',
      { SUPERGRAPH_PATH: import.meta.filename },
      /^SUPERGRAPH_PATH: the supergraph in .* cannot be served: .*\n/,
    ],
  ])(
    'the gateway does not start with %s, and says so in one sentence',
    async (_what, env, said) => {
      const { code, stderr, stdout } = await run({ ...env, PORT: '0' }).exited;

      expect(code).toBe(1);
      expect(stderr).toMatch(said);
      expect(stderr).not.toMatch(/^ {4}at /m);
      expect(stdout).toBe('');
    },
    30_000,
  );

  it('a port that is taken ends the start with one sentence', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code, stderr } = await run({ SUPERGRAPH_PATH: supergraphPath, PORT: String(port) }).exited;
    taken.close();

    expect(code).toBe(1);
    expect(stderr).toContain(String(port));
    expect(stderr).not.toMatch(/^ {4}at /m);
  }, 30_000);

  it('the gateway needs only a file and a port, and becomes ready without asking a subgraph', async () => {
    const gateway = run({ SUPERGRAPH_PATH: supergraphPath, PORT: '0' });
    const url = await gateway.url;
    const ready = await fetch(`${url}/health/ready`);

    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ status: 'ready', checks: { things: 'unknown', scores: 'unknown' } });
    expect((await askAt(url, '{ things { name score } }')).body.errors).toBeUndefined();
    gateway.child.kill('SIGINT');
    expect((await gateway.exited).code).toBe(0);
  }, 30_000);

  it('on SIGTERM the gateway reports unready, finishes every request under way, and exits with 0', async () => {
    const count = 200;
    const waiting: (() => void)[] = [];
    stubs.things.misbehave((response) => {
      waiting.push(() => answers({ data: { things: [{ __typename: 'Thing', id: '1' }] } })(response));
    });
    const gateway = run({ SUPERGRAPH_PATH: supergraphPath, PORT: '0', COALESCE: 'false' });
    const url = await gateway.url;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const readiness = () =>
      new Promise<number | undefined>((resolve, reject) => {
        request(`${url}/health/ready`, { agent }, (response) => {
          response.resume().once('end', () => resolve(response.statusCode));
        })
          .once('error', reject)
          .end();
      });
    expect(await readiness()).toBe(200);

    const asked = Array.from({ length: count }, () => askAt(url, '{ things { id score } }'));
    await until(() => waiting.length === count);
    gateway.child.kill('SIGTERM');
    await until(async () => (await readiness().catch(() => 'closed')) !== 200);
    stubs.things.misbehave(undefined);
    for (const answer of waiting) answer();

    for (const { status, body } of await Promise.all(asked)) {
      expect(status).toBe(200);
      expect(body).toEqual({ data: { things: [{ id: '1', score: 10 }] } });
    }
    expect((await gateway.exited).code).toBe(0);
    agent.destroy();
  }, 60_000);
});
