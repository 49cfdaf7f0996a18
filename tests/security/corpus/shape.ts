import { createHash } from 'node:crypto';
import { expect } from '@jest/globals';
import { section, type Expected } from './attack.js';
import { inParallel } from './in-parallel.js';

const times = (count: number, text: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => text(n)).join(' ');

/** Returns fragments on `type` of which each one has the next one twice, and the last one `leaf`. */
const doubling = (type: string, levels: number, body: (next: string) => string, leaf: string) =>
  `${times(levels, (n) => `fragment F${n} on ${type} { ${body(`...F${n + 1}`)} }`)} fragment F${levels} on ${type} { ${leaf} }`;

const nested = (depth: number) =>
  `{ movie(id: "m") { ${'credits(first: 1) { nodes { movie {'.repeat(depth / 3)} id ${'} } }'.repeat(depth / 3)} } }`;

const isTooComplex: Expected = { status: 400, code: 'OPERATION_TOO_COMPLEX' };
const isBadInput: Expected = { status: 400, code: 'BAD_USER_INPUT' };
const isRefused: Expected = { status: 400 };

interface LimitCase {
  readonly number: number;
  readonly what: string;
  readonly expected: Expected;
  readonly requests: readonly { readonly query: string; readonly variables?: unknown }[];
}

/** The cases about limits, which case 49 sends by another transport, too. */
const limitCases: readonly LimitCase[] = [
  {
    number: 21,
    what: 'an operation of depth 60 is refused before planning',
    expected: isTooComplex,
    requests: [{ query: nested(60) }],
  },
  {
    number: 23,
    what: '1000 aliases of a field of an entity are refused',
    expected: isTooComplex,
    requests: [
      { query: `{ movie(id: "m") { ${times(1_000, (n) => `a${n}: aggregatedRating { count }`)} } }` },
      { query: `{ ${times(101, (n) => `a${n}: __typename`)} }` },
    ],
  },
  {
    number: 25,
    what: 'a field that is selected 20,000 times is refused',
    expected: { status: 400, code: /^(GRAPHQL_PARSE_FAILED|OPERATION_TOO_COMPLEX)$/ },
    requests: [
      { query: `{ ${'me '.repeat(20_000)} }` },
      { query: `{ ${'__typename '.repeat(14_000)} }` },
      { query: `{ ${'__typename '.repeat(500)} }` },
    ],
  },
  {
    number: 27,
    what: '5000 directives are refused with at most 100 errors',
    expected: { status: 400, code: /^(GRAPHQL_PARSE_FAILED|OPERATION_TOO_COMPLEX)$/ },
    requests: [
      { query: `{ __typename ${'@a '.repeat(5_000)} }` },
      { query: `{ __typename ${'@include(if: true) '.repeat(5_000)} }` },
      { query: `{ ${times(300, (n) => `a${n}: __typename @b`)} }` },
    ],
  },
  {
    number: 28,
    what: 'fragments that double at each of 24 levels, at the root, are refused',
    expected: isTooComplex,
    requests: [{ query: `{ ...F0 } ${doubling('Query', 24, (next) => `${next} ${next}`, '__typename')}` }],
  },
  {
    number: 29,
    what: 'fragments that double at each of 22 levels, across subgraphs, are refused',
    expected: isTooComplex,
    requests: [
      {
        query: `{ movie(id: "m") { ...F0 } } ${doubling(
          'Movie',
          22,
          (next) =>
            `a: credits(first: 1) { nodes { movie { aggregatedRating { count } ${next} } } } b: ratings(first: 1) { nodes { movie { title ${next} } } }`,
          'id',
        )}`,
      },
    ],
  },
  {
    number: 30,
    what: 'selections of 14 levels through an interface are refused',
    expected: isTooComplex,
    requests: [
      {
        query: `{ node(id: "m") { ...F0 } } ${doubling(
          'Node',
          14,
          (next) => `... on Movie { id ${next} } ... on Genre { id ${next} } ... on Person { id ${next} }`,
          'id',
        )}`,
      },
    ],
  },
  {
    number: 34,
    what: 'circular fragments are refused',
    expected: { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' },
    requests: [
      { query: '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }' },
      { query: '{ ...A } fragment A on Query { ...A }' },
    ],
  },
  {
    number: 36,
    what: '900 KB of tokens are refused',
    expected: isRefused,
    requests: [{ query: `{ ${'a '.repeat(450_000)} }` }, { query: '{'.repeat(900_000) }],
  },
  {
    number: 39,
    what: '3000 operations in one document are refused',
    expected: isRefused,
    requests: [
      { query: times(3_000, (n) => `query A${n} { __typename }`) },
      { query: times(100, (n) => `query A${n} { __typename }`) },
    ],
  },
  {
    number: 40,
    what: 'a list of 5000 ids is refused',
    expected: isBadInput,
    requests: [
      {
        query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
        variables: { ids: Array.from({ length: 5_000 }, (_, n) => `m:${n}`) },
      },
    ],
  },
  {
    number: 41,
    what: 'a size of a billion, and one that is no number, are refused and not changed silently',
    expected: isBadInput,
    requests: [1_000_000_000, 'NaN', 1.5, '20', 2 ** 31, true].map((first) => ({
      query: 'query ($first: Int) { movies(first: $first) { nodes { id } } }',
      variables: { first },
    })),
  },
  {
    number: 42,
    what: 'lists of 50 × 10 × 10 × 10 in each other are refused by their size',
    expected: isTooComplex,
    requests: [
      {
        query:
          '{ movies(first: 50) { nodes { credits(first: 10) { nodes { person { filmography(first: 10) { nodes { movie { ratings(first: 10) { nodes { score } } } } } } } } } } }',
      },
    ],
  },
];

/** Registers the cases 21 to 49. */
export const shape = (): void =>
  section('Query shape, parser, validation, planner', (test) => {
    for (const { number, what, expected, requests } of limitCases) {
      test(number, what, async ({ attack }) => {
        for (const request of requests) await attack(request, expected);
      });
    }

    test(37, '900 KB of comments cost no time', async ({ attack }) => {
      await attack(
        { query: `{ __typename } ${`#${'x'.repeat(96)}\n`.repeat(9_000)}` },
        { status: [200, 400, 413] },
      );
    });

    test(
      41,
      'sizes that are negative or above the limit of a field are refused by its subgraph',
      async ({ attack }) => {
        for (const query of [
          '{ movies(first: -1) { nodes { id } } }',
          '{ movies(last: -5) { nodes { id } } }',
          '{ topRated(first: 101) { totalCount } }',
        ])
          await attack({ query }, { status: [200, 400], code: 'BAD_USER_INPUT', fetches: true });
      },
    );

    test(
      44,
      '@defer for a client that accepts one response is refused, never ignored',
      async ({ attack }) => {
        const query = '{ __typename ... @defer { topRated(first: 1) { totalCount } } }';
        await attack({ query }, { status: [400, 406] });
      },
    );

    test(
      45,
      'a wrong hash of a persisted query is refused, and 10,000 random ids cost no memory',
      async (tools) => {
        const { attack, ask, stack, note } = tools;
        const idOf = (text: string) => createHash('sha256').update(text).digest('hex');
        const wrong = { persistedQuery: { version: 1, sha256Hash: idOf('x') } };
        await attack({ query: '{ __typename }', extensions: wrong }, { status: 400 });
        const beforeMiB = stack.memoryMiB();
        await inParallel(10_000, async (n) => {
          const extensions = { persistedQuery: { version: 1, sha256Hash: idOf(`random ${n}`) } };
          const { status, errors } = await ask({ extensions });
          expect([status, errors[0]?.extensions['code']]).toEqual([
            expect.any(Number),
            'PERSISTED_QUERY_NOT_FOUND',
          ]);
        });
        await attack({ extensions: wrong }, { status: [200, 400, 404], code: 'PERSISTED_QUERY_NOT_FOUND' });
        note(`memory ${(stack.memoryMiB() - beforeMiB).toFixed(0)} MiB`);
      },
    );

    test(
      46,
      '5000 distinct valid operations leave a bounded cache of plans',
      async ({ ask, attack, stack, note }) => {
        const beforeMiB = stack.memoryMiB();
        await inParallel(5_000, async (n) => {
          const { status } = await ask({ query: `{ a${n}: genre(id: "none") { id } }` });
          expect(status).toBe(200);
        });
        note(`memory ${(stack.memoryMiB() - beforeMiB).toFixed(0)} MiB`);
        await attack({ query: '{ last: genre(id: "none") { id } }' }, { status: 200, fetches: true });
      },
    );

    test(49, 'every limit holds for a GET as well, and there is no other transport', async ({ attack }) => {
      const headers = { 'apollo-require-preflight': 'y' };
      for (const { requests, expected } of limitCases) {
        for (const { query, variables } of requests) {
          const search = new URLSearchParams({
            query,
            ...(variables !== undefined && { variables: JSON.stringify(variables) }),
          });
          const path = `/graphql?${search.toString()}`;
          // Node reads at most 16 KB of headers.
          await attack(
            { method: 'GET', path, headers },
            path.length < 15_000 ? expected : { status: [413, 414, 431] },
          );
        }
      }
      const upgrade = {
        ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
        ...{
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'sec-websocket-protocol': 'graphql-transport-ws',
        },
      };
      await attack({ method: 'GET', headers: upgrade });
    });
  });
