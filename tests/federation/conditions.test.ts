import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

const item = { __typename: 'Item', id: 'k1', title: 'T1', sku: 's1', code: 'm' };

interface Reference {
  readonly sku?: string;
  readonly code?: string;
}

const subgraphs = {
  a: {
    sdl: `
      type Query { item: Item items: [Item!] n(x: Int! = 3): String m(input: In): String }
      input In { n: Int! = 3 }
      type Item @key(fields: "id") { id: ID! title: String sku: String code: String! }`,
    resolvers: {
      Query: {
        item: () => item,
        items: () => [item],
        n: (_: unknown, { x }: { x: number }) => `n${x}`,
        m: (_: unknown, { input }: { input?: { n: number } }) => `m${input?.n}`,
      },
    },
  },
  b: {
    sdl: `
      type Query { other: Int }
      type Item @key(fields: "id") {
        id: ID!
        price: Int
        sku: String @external
        weight: Int @requires(fields: "sku")
        code: String! @external
        size: Int @requires(fields: "code")
      }`,
    resolvers: {
      Query: { other: () => 1 },
      Item: {
        __resolveReference: (reference: Reference) => reference,
        price: () => 10,
        weight: ({ sku }: Reference) => (sku ? 100 : null),
        size: ({ code }: Reference) => (code ? 7 : null),
      },
    },
  },
};

describe('@skip and @include', () => {
  const supergraph = withSupergraph(subgraphs);

  it.each<[sentence: string, selection: string, whenTrue: unknown, whenFalse: unknown]>([
    [
      'on a field with @requires leave its siblings',
      '{ item { price weight @skip(if: $x) } }',
      { item: { price: 10 } },
      { item: { price: 10, weight: 100 } },
    ],
    [
      'on a field with @requires leave the fields of both subgraphs',
      '{ item { title price weight @include(if: $x) } }',
      { item: { title: 'T1', price: 10, weight: 100 } },
      { item: { title: 'T1', price: 10 } },
    ],
    [
      'leave the siblings of a field that requires a non-null field',
      '{ item { price size @include(if: $x) } }',
      { item: { price: 10, size: 7 } },
      { item: { price: 10 } },
    ],
    [
      'choose one of two fields',
      '{ item { price @include(if: $x) weight @skip(if: $x) } }',
      { item: { price: 10 } },
      { item: { weight: 100 } },
    ],
    [
      'choose between fields that require different fields',
      '{ item { size @include(if: $x) weight @skip(if: $x) } }',
      { item: { size: 7 } },
      { item: { weight: 100 } },
    ],
    [
      'act on a fragment spread in a list',
      '{ items { price ...W @include(if: $x) } } fragment W on Item { weight }',
      { items: [{ price: 10, weight: 100 }] },
      { items: [{ price: 10 }] },
    ],
    [
      'act on an inline fragment without a type',
      '{ item { title ... @include(if: $x) { price weight } } }',
      { item: { title: 'T1', price: 10, weight: 100 } },
      { item: { title: 'T1' } },
    ],
    [
      'leave the required field that the client asked for as well',
      '{ item { sku weight @include(if: $x) } }',
      { item: { sku: 's1', weight: 100 } },
      { item: { sku: 's1' } },
    ],
    [
      'on the key leave the fields of the other subgraph',
      '{ item { id @include(if: $x) price } }',
      { item: { id: 'k1', price: 10 } },
      { item: { price: 10 } },
    ],
    [
      'act on a root field',
      '{ item @include(if: $x) { price } other }',
      { item: { price: 10 }, other: 1 },
      { other: 1 },
    ],
    [
      'may leave an object without fields',
      '{ item { price @include(if: $x) } }',
      { item: { price: 10 } },
      { item: {} },
    ],
    [
      'may leave a response without fields',
      '{ item @include(if: $x) { price } }',
      { item: { price: 10 } },
      {},
    ],
    [
      'of one field that is selected twice count separately',
      '{ item { price @include(if: $x) price @skip(if: $x) title @include(if: $x) @skip(if: $x) } }',
      { item: { price: 10 } },
      { item: { price: 10 } },
    ],
    [
      'of an object that is selected twice count separately',
      '{ item @include(if: $x) { price } item { title } }',
      { item: { price: 10, title: 'T1' } },
      { item: { title: 'T1' } },
    ],
    [
      'act on __typename',
      '{ __typename @include(if: $x) item { __typename @skip(if: $x) title } }',
      { __typename: 'Query', item: { title: 'T1' } },
      { item: { __typename: 'Item', title: 'T1' } },
    ],
    [
      'act in nested fragments',
      '{ ...A @include(if: $x) ...B } fragment A on Query { item { ...C @skip(if: $x) title } } fragment B on Query { item { ...C @include(if: $x) } } fragment C on Item { weight }',
      { item: { title: 'T1', weight: 100 } },
      { item: {} },
    ],
  ])('%s', async (_sentence, selection, whenTrue, whenFalse) => {
    const [operation = '', ...fragments] = selection.split(' fragment ');
    for (const [x, data] of [
      [true, whenTrue],
      [false, whenFalse],
    ] as const) {
      const withVariable = ['query($x: Boolean!) ' + operation, ...fragments].join(' fragment ');
      expect(await supergraph.ask(withVariable, { x })).toEqual(
        expect.objectContaining({ status: 200, data }),
      );
      const { text } = await supergraph.ask(selection.replaceAll('$x', String(x)));
      expect(JSON.parse(text)).toEqual({ data });
    }
  });

  it('a field that is left out is not fetched', async () => {
    supergraph.forget();
    await supergraph.ask('query($x: Boolean!) { item { title price @include(if: $x) } }', { x: false });
    expect(supergraph.subgraphs['a']?.seen).toHaveLength(1);
    expect(supergraph.subgraphs['b']?.seen).toHaveLength(0);
    supergraph.forget();
    await supergraph.ask('query($x: Boolean!) { item @skip(if: $x) { price } }', { x: true });
    expect(supergraph.subgraphs['a']?.seen).toHaveLength(0);
  });

  it('take the default of their variable, and its value of another request never', async () => {
    const query = 'query($x: Boolean! = true) { item { title @include(if: $x) price @skip(if: $x) } }';
    const asked = [undefined, { x: false }, { x: true }, {}].map((variables) =>
      supergraph.ask(query, variables),
    );
    expect((await Promise.all(asked)).map(({ data }) => data)).toEqual([
      { item: { title: 'T1' } },
      { item: { price: 10 } },
      { item: { title: 'T1' } },
      { item: { title: 'T1' } },
    ]);
  });
});

describe('null for a variable with a default, where null is not accepted,', () => {
  const supergraph = withSupergraph(subgraphs);

  it.each([
    ['a condition', 'query($x: Boolean = true) { item { title @skip(if: $x) } }', { x: null }],
    [
      'the condition of a fragment',
      'query($x: Boolean = true) { ...F @include(if: $x) } fragment F on Query { other }',
      { x: null },
    ],
    ['an argument with a default', 'query($x: Int = 3) { n(x: $x) }', { x: null }],
    ['an input field with a default', 'query($x: Int = 3) { m(input: { n: $x }) }', { x: null }],
  ])('is refused as a fault of the client in %s', async (_where, query, variables) => {
    supergraph.forget();
    const { status, errors, data } = await supergraph.ask(query, variables);
    expect([status, errors?.map(({ extensions }) => extensions?.['code'])]).toEqual([
      400,
      ['BAD_USER_INPUT'],
    ]);
    expect(data).toBeUndefined();
    expect(Object.values(supergraph.subgraphs).flatMap(({ seen }) => seen)).toEqual([]);
  });

  it('is no matter if the variable is left out', async () => {
    const query = 'query($x: Int = 4) { n(x: $x) m(input: { n: $x }) }';
    expect((await supergraph.ask(query)).data).toEqual({ n: 'n4', m: 'm4' });
    expect((await supergraph.ask('query($x: Int) { m(input: { n: 5 }) n }')).status).toBe(400);
    expect((await supergraph.ask('{ n m(input: {}) a: m }')).data).toEqual({
      n: 'n3',
      m: 'm3',
      a: 'mundefined',
    });
  });
});
