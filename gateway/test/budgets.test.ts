import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { bearerOf } from '@cinegraph/testing/tokens';
import { startWorld, type World } from './support/world.js';

/** Starts a gateway before each test, so that each begins with full budgets. */
const startedIn = (env: Readonly<Record<string, string>>) => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld(env);
  });
  afterEach(() => world.stop());
  return () => world;
};

const fetchesOf = (world: World) => world.things.seen.length + world.scores.seen.length;

const from = (address: string) => ({ 'x-forwarded-for': address });

describe('the budget of a client', () => {
  // A list of ten things costs 10, and a refused request 1. Hardly anything is earned during a test.
  const world = startedIn({ BUDGET_COST_PER_MINUTE: '1', BUDGET_COST_BURST: '35', TRUSTED_PROXIES: '1' });
  const query = '{ things { id } }';

  it('takes the cost of each operation, and refuses with 429 before a fetch when too little is left', async () => {
    for (const left of [25, 15, 5]) {
      const { status, headers } = await world().ask(query);
      expect(status).toBe(200);
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"cost";r=${left};t=\\d+$`));
      expect(headers.get('ratelimit-policy')).toBe('"cost";q=35;w=2100');
      expect(headers.get('retry-after')).toBeNull();
    }
    const fetches = fetchesOf(world());
    const { status, headers, body } = await world().ask(query);

    expect([status, fetchesOf(world())]).toEqual([429, fetches]);
    expect(body.errors).toEqual([
      {
        message: expect.stringMatching(
          /^The operations of this client cost more than its budget\. Try again in \d+ seconds\.$/,
        ),
        extensions: { code: 'RATE_LIMITED' },
      },
    ]);
    // Six are missing, at one a minute, because the refused request has cost 1.
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(300);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(360);
    expect(headers.get('ratelimit')).toMatch(/^"cost";r=4;t=\d+$/);
    expect(headers.get('cache-control')).toContain('no-store');
  });

  it('is the same by POST, by GET and for a persisted query', async () => {
    const sha256Hash = createHash('sha256').update(query).digest('hex');
    const extensions = JSON.stringify({ persistedQuery: { version: 1, sha256Hash } });
    const get = (search: Record<string, string>) =>
      fetch(`${world().url}/graphql?${new URLSearchParams(search).toString()}`, {
        headers: { 'apollo-require-preflight': 'y' },
      });

    expect((await get({ query })).headers.get('ratelimit')).toContain('r=25;');
    expect((await get({ query, extensions })).headers.get('ratelimit')).toContain('r=15;');
    expect((await get({ extensions })).headers.get('ratelimit')).toContain('r=5;');
    const refused = await Promise.all([get({ query }), get({ extensions })]);
    expect(refused.map(({ status }) => status)).toEqual([429, 429]);
    expect((await world().ask(query)).status).toBe(429);
  });

  it('takes 1 for each request that is refused, whatever refuses it', async () => {
    const post = (body: string, type = 'application/json') =>
      fetch(`${world().url}/graphql`, { method: 'POST', headers: { 'content-type': type }, body });
    const refused = [
      await post('{ no JSON'),
      await post('query', 'text/plain'),
      await post(JSON.stringify({ query: '{ nothing }' })),
      await post(JSON.stringify({ query: '{' })),
      await post(JSON.stringify({ query: `{ ${'a: __typename '.repeat(101)} }` })),
      await fetch(`${world().url}/graphql`, { method: 'PUT' }),
    ];

    expect(refused.map(({ status }) => Math.floor(status / 100))).toEqual([4, 4, 4, 4, 4, 4]);
    expect(refused.map(({ headers }) => headers.get('ratelimit')?.split(';')[1])).toEqual(
      [34, 33, 32, 31, 30, 29].map((left) => `r=${left}`),
    );
  });

  it('that is empty refuses a request before it is parsed', async () => {
    for (let asked = 0; asked < 40; asked += 1) await world().ask('{ nothing }');
    const { status, body, headers } = await world().ask('{');

    expect([status, body.errors?.[0]?.extensions['code']]).toEqual([429, 'RATE_LIMITED']);
    expect(headers.get('ratelimit')).toMatch(/^"cost";r=0;t=\d+$/);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
  });

  it('that is full serves an operation that costs more than it', async () => {
    const large = '{ things { id parts { id } } }';

    expect((await world().ask(large)).status).toBe(200);
    expect((await world().ask('{ things { id } }')).status).toBe(429);
  });

  it('is kept for each viewer, wherever it connects, and for each address if nobody is signed in', async () => {
    const left = async (headers: Record<string, string>) =>
      (await world().ask(query, { headers })).headers.get('ratelimit')?.split(';')[1];

    expect(await left({ ...bearerOf('ann'), ...from('192.0.2.1') })).toBe('r=25');
    expect(await left({ ...bearerOf('ann'), ...from('192.0.2.2') })).toBe('r=15');
    expect(await left({ ...bearerOf('bob'), ...from('192.0.2.1') })).toBe('r=25');
    expect(await left(from('192.0.2.1'))).toBe('r=25');
    // One client has all addresses of a network of 64 bits.
    expect(await left(from('2001:db8::1'))).toBe('r=25');
    expect(await left(from('2001:DB8:0:0:ffff::2'))).toBe('r=15');
    expect(await left(from('2001:db8:0:1::1'))).toBe('r=25');
  });

  it('cannot be escaped by a forged X-Forwarded-For', async () => {
    for (const forged of ['198.51.100.1', '198.51.100.2', '198.51.100.3']) {
      expect((await world().ask(query, { headers: from(`${forged}, 192.0.2.9`) })).status).toBe(200);
    }
    expect((await world().ask(query, { headers: from('198.51.100.4, 192.0.2.9') })).status).toBe(429);
    // What is no address counts for the proxy.
    const left = await world().ask(query, { headers: from('unknown') });
    expect(left.headers.get('ratelimit')).toContain('r=25;');
    expect((await world().ask(query)).headers.get('ratelimit')).toContain('r=15;');
  });

  it('is not touched by health checks', async () => {
    for (let asked = 0; asked < 50; asked += 1) {
      const { status, headers } = await fetch(`${world().url}/health/ready`);
      expect([status, headers.get('ratelimit')]).toEqual([200, null]);
    }
    expect((await world().ask(query)).headers.get('ratelimit')).toContain('r=25;');
  });
});

describe('the address of a client', () => {
  it.each([
    ['0', '192.0.2.1, 192.0.2.2', '192.0.2.1, 192.0.2.3', false],
    ['2', '198.51.100.1, 192.0.2.1, 10.0.0.1', '198.51.100.2, 192.0.2.2, 10.0.0.1', true],
    ['2', '198.51.100.1, 192.0.2.1, 10.0.0.1', '198.51.100.2, 192.0.2.1, 10.0.0.2', false],
  ])(
    'behind %s proxies is not what it has sent itself: %s, then %s',
    async (proxies, first, second, differs) => {
      const world = await startWorld({
        BUDGET_COST_PER_MINUTE: '1',
        BUDGET_COST_BURST: '60',
        TRUSTED_PROXIES: proxies,
      });
      await world.ask('{ things { id } }', { headers: from(first) });
      const { headers } = await world.ask('{ things { id } }', { headers: from(second) });
      expect(headers.get('ratelimit')).toContain(differs ? 'r=50;' : 'r=40;');
      await world.stop();
    },
  );
});

describe('the budget of a field', () => {
  const world = startedIn({
    BUDGET_FIELDS: 'Mutation.rename=5, Query.best=40',
    TRUSTED_PROXIES: '1',
  });
  const renames = (count: number) =>
    `mutation { ${Array.from({ length: count }, (_, n) => `r${n}: rename(id: 1, name: "a") { id }`).join(' ')} }`;

  it('counts each selection, so that 50 aliases are refused as 50', async () => {
    const { status, headers, body } = await world().ask(renames(50));

    expect([status, fetchesOf(world())]).toEqual([429, 0]);
    expect(body.errors?.[0]?.message).toBe(
      'The field Mutation.rename may be selected 5 times a minute, and this operation selects it 50 times. Select it less often in one operation.',
    );
    expect(headers.get('ratelimit')).toMatch(/, "Mutation\.rename";r=5;t=0$/);
    expect(headers.get('ratelimit-policy')).toMatch(/, "Mutation\.rename";q=5;w=60$/);
  });

  it('is shared by operations, by fragments and by all viewers of an address', async () => {
    const two =
      'mutation { ...F a: rename(id: 1, name: "a") { id } } fragment F on Mutation { rename(id: 1, name: "a") { id } }';
    const ask = (query: string, viewer: string, address: string) =>
      world().ask(query, { headers: { ...bearerOf(viewer), ...from(address) } });

    expect((await ask(two, 'ann', '192.0.2.1')).status).toBe(200);
    expect((await ask(two, 'bob', '192.0.2.1')).status).toBe(200);
    const refused = await ask(two, 'cid', '192.0.2.1');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(12);
    // Neither another address nor another viewer helps.
    expect((await ask(renames(4), 'ann', '192.0.2.2')).status).toBe(429);
    expect((await ask(renames(4), 'dan', '192.0.2.2')).status).toBe(200);
    // Other fields are not affected.
    expect((await ask('{ best { id } }', 'cid', '192.0.2.1')).status).toBe(200);
  });

  it('is not named by operations that do not select it', async () => {
    expect((await world().ask('{ things { id } }')).headers.get('ratelimit-policy')).not.toContain(
      'Mutation',
    );
  });
});

describe('a gateway without budgets', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ BUDGET_COST_PER_MINUTE: '0' });
  });
  afterAll(() => world.stop());

  it('sends no RateLimit', async () => {
    const { status, headers } = await world.ask('{ things { id } }');
    expect([status, headers.get('ratelimit'), headers.get('ratelimit-policy')]).toEqual([200, null, null]);
  });
});
