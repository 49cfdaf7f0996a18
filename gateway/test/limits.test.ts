import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { costLimit, documentLimits, listLimit, variablesLimit } from '../src/request/limits.js';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

let world: World;
beforeAll(async () => {
  world = await startWorld({ NODE_ENV: 'production' });
});
afterAll(() => world.stop());

const times = (count: number, text: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => text(n)).join(' ');

const nested = (depth: number) => `${'linked(first: 1) {'.repeat(depth)} id ${'}'.repeat(depth)}`;

/** Each fragment spreads the next one twice, so that the last one is used 2^levels times. */
const doubling = (levels: number, body: (next: string) => string) =>
  `{ thing(id: "1") { ...F0 } } ${times(levels, (n) => `fragment F${n} on Thing { ${body(`...F${n + 1}`)} }`)} fragment F${levels} on Thing { id }`;

/** Asks. Returns 'served', or code and message of a refusal, which must have status 400 and cost no fetch. */
const codeOf = async (query: string, variables: Record<string, unknown> = {}) => {
  const fetches = () => world.things.seen.length + world.scores.seen.length;
  const before = fetches();
  const { status, body } = await world.ask(query, { variables });
  const [error] = body.errors ?? [];
  if (!error) return 'served';
  expect([status, fetches()]).toEqual([400, before]);
  return `${String(error.extensions['code'])}: ${error.message}`;
};

describe('limits of an operation', () => {
  it.each([
    ['operations', (n: number) => times(n, (i) => `query A${i} { __typename }`)],
    ['directives', (n: number) => `{ thing(id: "1") { ${times(n, () => '... @skip(if: false) { id }')} } }`],
    ['directivesAtOnePosition', (n: number) => `{ __typename ${times(n, () => '@include(if: true)')} }`],
    ['repeatedFields', (n: number) => `{ thing(id: "1") { ${times(n + 1, () => 'id')} } }`],
    ['values', (n: number) => `{ thing(id: [${times(n - 1, () => '1')}]) { id } }`],
    ['rootFields', (n: number) => `{ ...F } fragment F on Query { ${times(n, (i) => `a${i}: __typename`)} }`],
    ['depth', (n: number) => `{ thing(id: "1") { ${nested(n - 2)} } }`],
    [
      'aliases',
      (n: number) => `{ thing(id: "1") { ...F } } fragment F on Thing { ${times(n, (i) => `a${i}: id`)} }`,
    ],
    ['selections', (n: number) => `{ thing(id: "1") { id ${times((n - 2) / 2, () => '... { id }')} } }`],
  ] as const)('an operation with more %s than allowed is refused with the numbers', async (name, build) => {
    const { max, counted, advice } = documentLimits[name];
    // Steps of two, because a fragment and its field are two selections.
    const over = name === 'selections' ? max + 2 : max + 1;

    expect(await codeOf(build(over))).toBe(
      `OPERATION_TOO_COMPLEX: There are ${over} ${counted}, but at most ${max} are allowed. ${advice}`,
    );
    const { body } = await world.ask(build(max));
    expect(body.errors?.[0]?.extensions['code']).not.toBe('OPERATION_TOO_COMPLEX');
  });

  it.each([
    ['in one subgraph', (next: string) => `${next} ${next}`],
    [
      'across subgraphs',
      (next: string) => `a: linked(first: 1) { score ${next} } b: linked(first: 1) { ${next} }`,
    ],
  ])(
    // The fragments of 60 levels stand for 2^60 fields: what expanded them would not end.
    'fragments that double at each of 18 to 200 levels are counted without being expanded, %s',
    async (_where, body) => {
      for (const levels of [18, 24, 60, 200]) {
        const refused = await codeOf(doubling(levels, body));
        expect(refused).toMatch(/^OPERATION_TOO_COMPLEX: There are (\d+|more than a billion) /);
      }
    },
  );

  it('fragments in themselves are refused by validation, not measured for ever', async () => {
    expect(
      await codeOf('{ thing(id: "1") { ...A } } fragment A on Thing { ...B } fragment B on Thing { ...A }'),
    ).toMatch(/^GRAPHQL_VALIDATION_FAILED/);
  });

  it('a refused text is refused again, whatever operation its request names', async () => {
    const query = `query A { ${times(60, (n) => `a${n}: __typename`)} }`;
    for (const operationName of ['A', 'A', 'B']) {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, operationName }),
      });
      expect([response.status, await response.text()]).toEqual([
        400,
        expect.stringContaining('OPERATION_TOO_COMPLEX'),
      ]);
    }
  });

  it('the limits hold for a GET and for a persisted query, too', async () => {
    const query = `{ ${times(60, (n) => `a${n}: __typename`)} }`;
    const persistedQuery = { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') };
    const extensions = JSON.stringify({ persistedQuery });
    for (const search of [{ query }, { query, extensions }, { extensions }]) {
      const response = await fetch(
        `${world.url}/graphql?${new URLSearchParams(search as Record<string, string>).toString()}`,
        { headers: { 'apollo-require-preflight': 'y' } },
      );
      expect(await response.text()).toMatch(/OPERATION_TOO_COMPLEX|PERSISTED_QUERY_NOT_FOUND/);
    }
  });

  it('more values in the variables than allowed are refused as bad input', async () => {
    const ids = Array.from({ length: 5_000 }, (_, n) => n);
    const query = 'query ($filter: ThingFilter) { things(filter: $filter) { id } }';
    const refused = `BAD_USER_INPUT: The request has more than ${variablesLimit.max} ${variablesLimit.counted}. ${variablesLimit.advice}`;

    expect(await codeOf(query, { filter: { ids } })).toBe(refused);
    expect(await codeOf(query, { filter: { name: 'x' }, unused: ids })).toBe(refused);
    expect(await codeOf(query, { filter: { name: 'x' } })).toBe('served');
  });
});

describe('the cost of an operation', () => {
  it('above the limit is refused before anything is fetched, by POST and by GET', async () => {
    const refused = `OPERATION_TOO_COMPLEX: There are 60000 ${costLimit.counted}, but at most ${costLimit.max} are allowed. ${costLimit.advice}`;
    const query =
      'query ($twice: Boolean = true) { heavy ...F @include(if: $twice) } fragment F on Query { again: heavy }';

    expect(await codeOf(query)).toBe(refused);
    expect(await codeOf(query, { twice: false })).toBe('served');
    const search = new URLSearchParams({ query }).toString();
    const headers = { 'apollo-require-preflight': 'y' };
    const response = await fetch(`${world.url}/graphql?${search}`, { headers });
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('60000')]);
  });
});

describe('the items of lists', () => {
  const refusedWith = (items: number | string) =>
    `OPERATION_TOO_COMPLEX: There are ${items} ${listLimit.counted}, but at most ${listLimit.max} are allowed. ${listLimit.advice}`;

  it('lists without a size count ten items, and nested lists multiply', async () => {
    const plain = (depth: number) =>
      `{ things(count: 1) { ${'parts { '.repeat(depth)} id ${'}'.repeat(depth)} } }`;

    expect(await codeOf(plain(3))).toBe('served');
    expect(await codeOf(plain(4))).toBe(refusedWith(111_110));
    expect(await codeOf(plain(25))).toBe(refusedWith('more than a billion'));
  });

  it('a requested size counts, as a literal, as a variable and as the default of a variable', async () => {
    const refused = refusedWith(20_100);
    const body = '{ thing(id: "1") { linked(first: 100) { linked(first: $n) { linked(last: 1) { id } } } } }';

    expect(await codeOf(body.replace('$n', '100'))).toBe(refused);
    expect(await codeOf(`query ($n: Int) ${body}`, { n: 100 })).toBe(refused);
    expect(await codeOf(`query ($n: Int = 100) ${body}`)).toBe(refused);
    expect(await codeOf(`query ($n: Int = 100) ${body}`, { n: 1 })).toBe('served');
  });

  it('a list that is left out by @skip or @include costs nothing', async () => {
    const query =
      'query ($all: Boolean!) { thing(id: "1") { id linked(first: 20) @include(if: $all) { id linked(first: 2000) { id } } } }';

    expect(await codeOf(query, { all: true })).toBe(refusedWith(40_020));
    expect(await codeOf(query, { all: false })).toBe('served');
  });

  it('a size that no list may have is refused as bad input', async () => {
    expect(await codeOf('{ thing(id: "1") { linked(first: 1000000000) { id } } }')).toBe(
      'BAD_USER_INPUT: The argument "first" of linked is 1000000000, but at most 20000 items are allowed. Ask for a shorter list.',
    );
  });
});
