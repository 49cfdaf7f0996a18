import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

interface Reference {
  readonly id: string;
}

const asReference = { __resolveReference: (reference: Reference) => reference };

describe('@provides, @shareable, @override, @inaccessible, @tag and @composeDirective', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { items: [Item!]! shared: Shared now: String @shareable }
        type Item @key(fields: "id") @tag(name: "public") {
          id: ID! title: String @shareable stock: Int moved: String secret: String @inaccessible
          sealed: Sealed @inaccessible
        }
        type Sealed @inaccessible { x: Int }
        type Shared @shareable { x: Int y(of: Int): Int }`,
      resolvers: {
        Query: {
          items: () => [{ id: '1' }, { id: '2' }],
          shared: () => ({ x: 1 }),
          now: () => 'now',
        },
        Shared: { y: (_: unknown, { of }: { of?: number }) => of ?? 0 },
        Item: {
          ...asReference,
          title: ({ id }: Reference) => `T${id} of a`,
          stock: ({ id }: Reference) => Number(id),
          moved: () => 'a',
          secret: ({ id }: Reference) => `secret ${id}`,
        },
      },
    },
    b: {
      sdl: `
        type Query { best: Item @provides(fields: "title") last: Item lists: [[List]] now: String @shareable }
        type List { item: Item @provides(fields: "title") other: Item }
        type Item @key(fields: "id") {
          id: ID! title: String @external moved: String @override(from: "a")
          secret: String @external opened: String @requires(fields: "secret")
        }`,
      resolvers: {
        Query: {
          best: () => ({ id: '1', title: 'T1 of b' }),
          last: () => ({ id: '2', title: 'not provided' }),
          lists: () => [[{ item: { id: '1', title: 'T1 of b' }, other: { id: '1' } }, null], null],
          now: () => 'now',
        },
        Item: {
          ...asReference,
          moved: () => 'b',
          opened: ({ secret }: { secret?: string }) => `opened ${secret}`,
        },
      },
    },
    c: {
      sdl: `
        type Query { inC: Item now: String @shareable }
        type Item @key(fields: "id") { id: ID! title: String @shareable score: Int! }`,
      resolvers: {
        Query: { inC: () => ({ id: '2' }), now: () => 'now' },
        Item: {
          ...asReference,
          title: ({ id }: Reference) => `T${id} of c`,
          score: ({ id }: Reference) => Number(id) * 10,
        },
      },
    },
  });
  const asked = () =>
    Object.entries(supergraph.subgraphs)
      .flatMap(([name, { seen }]) => seen.map(() => name))
      .join(' ');

  it.each<[sentence: string, query: string, data: unknown, fetches: string]>([
    ['a provided field is not fetched again', '{ best { title } }', { best: { title: 'T1 of b' } }, 'b'],
    [
      'a field that is not provided there is fetched from its owner',
      '{ last { title } }',
      { last: { title: expect.stringMatching(/^T2 of [ac]$/) } },
      'a b|b c',
    ],
    [
      'a field is provided on one path and not on the other',
      '{ lists { item { title } other { title } } }',
      {
        lists: [
          [{ item: { title: 'T1 of b' }, other: { title: expect.stringMatching(/^T1 of [ac]$/) } }, null],
          null,
        ],
      },
      'a b|b c',
    ],
    [
      'a shared field is taken from the subgraph that is asked already',
      '{ inC { title score } }',
      { inC: { title: 'T2 of c', score: 20 } },
      'c',
    ],
    [
      'a shared root field is asked from one subgraph',
      '{ now best { id } }',
      { now: 'now', best: { id: '1' } },
      'b',
    ],
    [
      'a value type keeps its arguments',
      '{ shared { x y(of: 3) z: y } }',
      { shared: { x: 1, y: 3, z: 0 } },
      'a',
    ],
    [
      'an overridden field comes from the new subgraph',
      '{ items { stock moved } }',
      {
        items: [
          { stock: 1, moved: 'b' },
          { stock: 2, moved: 'b' },
        ],
      },
      'a b',
    ],
    [
      'a field that clients cannot see may be required',
      '{ items { opened } }',
      { items: [{ opened: 'opened secret 1' }, { opened: 'opened secret 2' }] },
      'a b',
    ],
  ])('%s', async (_sentence, query, data, fetches) => {
    supergraph.forget();
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
    expect(fetches.split('|')).toContain(asked());
  });

  it('an inaccessible field does not exist for clients', async () => {
    for (const query of [
      '{ items { secret } }',
      '{ items { sealed { x } } }',
      '{ __type(name: "Sealed") { name } }',
    ]) {
      const { data } = await supergraph.ask(query);
      expect(data ?? { __type: null }).toEqual({ __type: null });
    }
  });
});

describe('a type that clients cannot see', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { hits: [Hit] nodes: [Node] enums: [E] }
        union Hit = Open | Closed
        interface Node { id: ID! }
        enum E { A B @inaccessible }
        type Open implements Node { id: ID! name: String }
        type Closed implements Node @inaccessible { id: ID! name: String }`,
      resolvers: {
        Query: {
          hits: () => [
            { __typename: 'Open', id: '1', name: 'o' },
            { __typename: 'Closed', id: '2', name: 'c' },
          ],
          nodes: () => [
            { __typename: 'Closed', id: '2' },
            { __typename: 'Open', id: '1' },
          ],
          enums: () => ['A', 'B'],
        },
      },
    },
  });

  it('is no object of an answer, and no name in it', async () => {
    const { data, text } = await supergraph.ask(
      '{ hits { __typename ... on Open { name } } nodes { id t: __typename } enums }',
    );
    expect(data).toEqual({
      hits: [{ __typename: 'Open', name: 'o' }, null],
      nodes: [null, { id: '1', t: 'Open' }],
      enums: ['A', null],
    });
    expect(text).not.toContain('Closed');
  });
});

describe('interfaces that subgraphs implement differently', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { nodes: [Node] }
        interface Node { id: ID! name: String }
        type One implements Node @key(fields: "id") { id: ID! name: String }
        type Two implements Node @key(fields: "id") { id: ID! name: String @external }`,
      resolvers: {
        Query: {
          nodes: () => [
            { __typename: 'One', id: '1' },
            { __typename: 'Two', id: '2' },
          ],
        },
        One: { ...asReference, name: () => 'one' },
        Two: asReference,
      },
    },
    b: {
      sdl: `
        type Query { hits: [Hit] }
        union Hit = One | Two | Three
        interface Node { id: ID! }
        type One implements Node @key(fields: "id") { id: ID! }
        type Two implements Node @key(fields: "id") { id: ID! name: String size: Int }
        type Three { id: ID! }`,
      resolvers: {
        Query: {
          hits: () => [
            { __typename: 'Three', id: '3' },
            { __typename: 'Two', id: '2' },
            { __typename: 'One', id: '1' },
          ],
        },
        One: asReference,
        Two: { ...asReference, name: () => 'two', size: () => 2 },
      },
    },
  });

  it.each([
    [
      'a field of the interface comes from the subgraph of each type',
      '{ nodes { name } }',
      { nodes: [{ name: 'one' }, { name: 'two' }] },
    ],
    [
      'fragments on types and interface are one selection',
      '{ nodes { id ... on Two { size name } ... on Node { name __typename } } }',
      {
        nodes: [
          { id: '1', name: 'one', __typename: 'One' },
          { id: '2', size: 2, name: 'two', __typename: 'Two' },
        ],
      },
    ],
    [
      'a union of another subgraph has the fields of the interface',
      '{ hits { ... on Node { name } ... on Three { id } } }',
      { hits: [{ id: '3' }, { name: 'two' }, { name: 'one' }] },
    ],
    [
      'a fragment within a fragment narrows',
      '{ hits { ... on Node { ... on Two { name ... on Node { id } } ... on One { id } } } }',
      { hits: [{}, { name: 'two', id: '2' }, { id: '1' }] },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });
});
