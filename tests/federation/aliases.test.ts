import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

const item = (n: number) => ({
  __typename: 'Item',
  id: `k${n}`,
  legacyId: `old${n}`,
  title: `T${n}`,
  sku: `s${n}`,
  size: { width: 6, unit: 'cm' },
});

const prices: Readonly<Record<string, number>> = { k1: 10, k2: 20 };

const catalogue = {
  sdl: `
    type Query { item: Item items: [Item] things: [Thing!]! hits: [Hit!]! }
    type Mutation { rename(title: String!): Item }
    union Hit = Item | Other
    type Item @key(fields: "id") { id: ID! legacyId: ID title: String sku: String size: Size }
    type Size { width: Int unit: String }
    type Other { name: String }
    type Thing @key(fields: "ref { id }") { ref: Ref! label: String }
    type Ref { id: ID! other: String }`,
  resolvers: {
    Query: {
      item: () => item(1),
      items: () => [item(1), null, item(2)],
      things: () => [{ ref: { id: 'x', other: 'o' }, label: 'L' }],
      hits: () => [item(1), { __typename: 'Other', name: 'N' }],
    },
    Mutation: { rename: (_: unknown, { title }: { title: string }) => ({ ...item(1), title }) },
    Hit: { __resolveType: ({ __typename }: { __typename: string }) => __typename },
  },
};

interface Reference {
  readonly id: string;
  readonly sku?: string;
  readonly size?: { width?: number };
  readonly ref?: { id: string };
}

const priced = {
  sdl: `
    type Item @key(fields: "id") {
      id: ID!
      price: Int
      sku: String @external
      weight: Int @requires(fields: "sku")
      size: Size @external
      tax: Int @requires(fields: "size { width }")
    }
    type Size { width: Int @external }
    type Thing @key(fields: "ref { id }") { ref: Ref! @external price: Int }
    type Ref { id: ID! @external }`,
  resolvers: {
    Item: {
      __resolveReference: (reference: Reference) => (prices[reference.id] ? reference : null),
      price: ({ id }: Reference) => prices[id],
      weight: ({ sku }: Reference) => (sku?.startsWith('s') ? 100 : null),
      tax: ({ size }: Reference) => size?.width ?? null,
    },
    Thing: {
      __resolveReference: (reference: Reference) => reference,
      price: ({ ref }: Reference) => (ref?.id === 'x' ? 3 : null),
    },
  },
};

describe('an alias of the client', () => {
  const supergraph = withSupergraph({ catalogue, prices: priced });

  it.each([
    [
      'of a key has the value of its field',
      '{ item { id: legacyId price } }',
      { item: { id: 'old1', price: 10 } },
    ],
    [
      'of a key stands beside its field',
      '{ item { id: legacyId legacyId price } }',
      { item: { id: 'old1', legacyId: 'old1', price: 10 } },
    ],
    [
      'exchanges a key and another field',
      '{ item { id: title title: id price } }',
      { item: { id: 'T1', title: 'k1', price: 10 } },
    ],
    [
      'of a key is right in a list with null',
      '{ items { id: title price } }',
      { items: [{ id: 'T1', price: 10 }, null, { id: 'T2', price: 20 }] },
    ],
    [
      'of a key in an object of the key has the value of its field',
      '{ things { ref { id: other } price } }',
      { things: [{ ref: { id: 'o' }, price: 3 }] },
    ],
    [
      'replaces an object of the key by a scalar',
      '{ things { ref: label price } }',
      { things: [{ ref: 'L', price: 3 }] },
    ],
    [
      'of a required field has the value of its field',
      '{ item { sku: title weight } }',
      { item: { sku: 'T1', weight: 100 } },
    ],
    [
      'replaces a required object by a scalar',
      '{ item { size: title tax } }',
      { item: { size: 'T1', tax: 6 } },
    ],
    [
      'within a required object has the value of its field',
      '{ item { size { width: unit } tax } }',
      { item: { size: { width: 'cm' }, tax: 6 } },
    ],
    [
      'of the field of another subgraph has the value of its field',
      '{ item { price: title title: price weight: id } }',
      { item: { price: 'T1', title: 10, weight: 'k1' } },
    ],
    [
      'names one field twice',
      '{ item { a: price b: price price title: title a: price } }',
      { item: { a: 10, b: 10, price: 10, title: 'T1' } },
    ],
    [
      'of a root field names two of them',
      '{ items: item { id: title price } item: things { price } }',
      { items: { id: 'T1', price: 10 }, item: [{ price: 3 }] },
    ],
    [
      'of a key is right in a union',
      '{ hits { ... on Item { id: title price } ... on Other { id: name } } }',
      { hits: [{ id: 'T1', price: 10 }, { id: 'N' }] },
    ],
    [
      'of a key is right after a mutation',
      'mutation { rename(title: "new") { id: title price } }',
      { rename: { id: 'new', price: 10 } },
    ],
    [
      'named like the plumbing of federation is an ordinary name',
      '{ _entities: item { representations: title _service: price field_1: id x__alias_0: sku } }',
      { _entities: { representations: 'T1', _service: 10, field_1: 'k1', x__alias_0: 's1' } },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect((await supergraph.ask(query)).text).toBe(JSON.stringify({ data }));
  });
});

describe('the alias __typename', () => {
  const supergraph = withSupergraph({ catalogue, prices: priced });

  it.each([
    [
      'has the value of its field in one subgraph',
      '{ item { __typename: title } }',
      { item: { __typename: 'T1' } },
    ],
    [
      'has the value of its field beside another subgraph',
      '{ item { __typename: title price } }',
      { item: { __typename: 'T1', price: 10 } },
    ],
    [
      'has the value of a field of another subgraph',
      '{ item { title __typename: price } }',
      { item: { title: 'T1', __typename: 10 } },
    ],
    [
      'stands beside the type under another name',
      '{ item { __typename: title t: __typename price } }',
      { item: { __typename: 'T1', t: 'Item', price: 10 } },
    ],
    [
      'has the value of its field in a union',
      '{ hits { ... on Item { __typename: title } ... on Other { __typename: name } } }',
      { hits: [{ __typename: 'T1' }, { __typename: 'N' }] },
    ],
    [
      'does not hide the type in a union from another subgraph',
      '{ hits { ... on Item { __typename: title price } ... on Other { t: __typename } } }',
      { hits: [{ __typename: 'T1', price: 10 }, { t: 'Other' }] },
    ],
    [
      'may name an object',
      '{ item { __typename: size { __typename: unit } tax } }',
      { item: { __typename: { __typename: 'cm' }, tax: 6 } },
    ],
    [
      'may name a root field',
      '{ __typename: item { id } t: __typename }',
      { __typename: { id: 'k1' }, t: 'Query' },
    ],
    [
      'and other names of __typename may be together',
      '{ item { id: __typename price title: __typename } }',
      { item: { id: 'Item', price: 10, title: 'Item' } },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect((await supergraph.ask(query)).text).toBe(JSON.stringify({ data }));
  });
});
