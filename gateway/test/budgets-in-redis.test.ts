import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { missingRedis, startRedis, type RedisServer } from './support/redis.js';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

if (missingRedis !== undefined) process.stderr.write(`The Redis tests are not run. ${missingRedis}\n`);
const whereRedisIs = missingRedis === undefined ? describe : describe.skip;

whereRedisIs('budgets in Redis', () => {
  let redis: RedisServer;
  let worlds: readonly World[];
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    redis.command('FLUSHALL');
    redis.command('SCRIPT', 'FLUSH');
    const env = {
      REDIS_URL: redis.url,
      BUDGET_COST_PER_MINUTE: '60',
      BUDGET_COST_BURST: '35',
      BUDGET_FIELDS: 'Mutation.rename=5',
    };
    worlds = await Promise.all([startWorld(env), startWorld(env)]);
  });
  afterEach(async () => {
    await Promise.all(worlds.map((world) => world.stop()));
  });

  const at = (index: number): World => {
    const world = worlds[index];
    if (!world) throw new Error('no such gateway');
    return world;
  };
  const query = '{ things { id } }';
  const leftOf = ({ headers }: { headers: Headers }) =>
    Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
  const outages = (world: World) =>
    world.log.filter(({ msg }) => msg?.startsWith('Redis is') === true).map(({ msg }) => msg?.slice(9, 20));

  it('are shared by gateways, and expire when they are full again', async () => {
    const began = performance.now();
    const answers = [await at(0).ask(query), await at(1).ask(query), await at(0).ask(query)];
    const refused = await at(1).ask(query);
    const earned = Math.ceil((performance.now() - began) / 1_000);

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(refused.status).toBe(429);
    expect(leftOf(refused)).toBeGreaterThanOrEqual(4);
    expect(leftOf(refused)).toBeLessThanOrEqual(4 + earned);
    expect(redis.command('KEYS', '*').trim()).toBe('gateway:budget:cost:address:127.0.0.1');
    const expiresMs = Number(redis.command('PTTL', 'gateway:budget:cost:address:127.0.0.1'));
    expect(expiresMs).toBeGreaterThan(20_000);
    expect(expiresMs).toBeLessThanOrEqual(31_001);
    expect(outages(at(0))).toEqual([]);
  });

  it('are exact under concurrent requests', async () => {
    // Requests that cost 1: after 35 of them the budget is empty, apart from what it earns meanwhile.
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => at(index % 2).ask('{ __typename }')),
    );
    const earned = Math.ceil((performance.now() - began) / 1_000);
    const served = answers.filter(({ status }) => status === 200).length;

    expect(served).toBeGreaterThanOrEqual(35);
    expect(served).toBeLessThanOrEqual(35 + earned);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(60 - served);
  });

  it('count fields, too', async () => {
    const mutation = 'mutation { a: rename(id: 1, name: "a") { id } b: rename(id: 1, name: "a") { id } }';

    expect((await at(0).ask(mutation)).status).toBe(200);
    expect((await at(1).ask(mutation)).status).toBe(200);
    expect((await at(0).ask(mutation)).body.errors?.[0]?.message).toContain('The field Mutation.rename');
  });

  it('are counted by each gateway while Redis is down, and shared again when it is back', async () => {
    await redis.kill();
    for (let asked = 0; asked < 15; asked += 1) {
      expect((await at(0).ask('{ __typename }')).status).toBe(200);
    }
    const answers = [await at(0).ask(query), await at(0).ask(query), await at(0).ask(query)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect((await at(1).ask(query)).status).toBe(200);
    expect(outages(at(0))).toEqual(['unavailable']);

    await redis.restart();
    await until(async () => {
      await at(0).ask('{ __typename }');
      return redis.command('KEYS', '*').trim() !== '';
    });
    expect(outages(at(0))).toEqual(['unavailable', 'available: ']);
  });

  it('cost no request more than a moment while Redis is frozen', async () => {
    redis.freeze();
    const times: number[] = [];
    const statuses: number[] = [];
    for (let asked = 0; asked < 20; asked += 1) {
      const began = performance.now();
      statuses.push((await at(0).ask('{ __typename }')).status);
      times.push(performance.now() - began);
    }
    redis.thaw();
    expect(statuses).toEqual(statuses.map(() => 200));
    // Ten requests wait 75 ms; at least some of the others do not ask Redis.
    expect(Math.min(...times)).toBeLessThan(75);
    expect(outages(at(0))).toEqual(['unavailable']);
    await until(async () => {
      await at(0).ask('{ __typename }');
      return outages(at(0)).length === 2;
    });
  });

  it('are not needed to start', async () => {
    await redis.kill();
    const world = await startWorld({ REDIS_URL: redis.url, BUDGET_COST_PER_MINUTE: '60' });
    const { status, headers } = await world.ask(query);
    expect([status, headers.get('ratelimit')]).toEqual([200, '"cost";r=50;t=10']);
    await world.stop();
    await redis.restart();
  });
});
