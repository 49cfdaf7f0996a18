import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

const currencies: Readonly<Record<string, number>> = { USD: 10, EUR: 9, GBP: 8 };

interface Reference {
  readonly id: string;
  readonly price?: number | null;
  readonly weight?: number | null;
  readonly size?: { width?: number | null; height?: number | null; name?: string };
}

const price = (_: unknown, { currency }: { currency: string }) => currencies[currency];
const asReference = { __resolveReference: (reference: Reference) => reference };

describe('fields that require one field with different arguments', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { item: Item items: [Item!]! }
        enum Currency { USD EUR GBP }
        type Item @key(fields: "id") { id: ID! price(currency: Currency!): Int weight: Int size: Size }
        type Size { width(unit: String! = "cm"): Int name: String }`,
      resolvers: {
        Query: { item: () => ({ id: '1', weight: 2 }), items: () => [{ id: '1', weight: 2 }, { id: '2' }] },
        Item: {
          price,
          size: () => ({ name: 'S' }),
          __resolveReference: (one: Reference) => ({ ...one, weight: 2 }),
        },
        Size: { width: (_: unknown, { unit }: { unit: string }) => (unit === 'cm' ? 25 : 10) },
      },
    },
    b: {
      sdl: `
        enum Currency { USD EUR GBP }
        type Item @key(fields: "id") {
          id: ID!
          price(currency: Currency!): Int @external
          weight: Int @external
          size: Size @external
          label: String @requires(fields: "price(currency: USD)")
          tag: String @requires(fields: "price(currency: EUR)")
          shipping: Int @requires(fields: "price(currency: EUR) weight")
          wide: String @requires(fields: "size { width(unit: \\"in\\") }")
          metric: String @requires(fields: "size { width name }")
        }
        type Size @external { width(unit: String! = "cm"): Int name: String }`,
      resolvers: {
        Item: {
          ...asReference,
          label: (one: Reference) => `${one.price} USD`,
          tag: (one: Reference) => `${one.price} EUR`,
          shipping: (one: Reference) => (one.price ?? 0) * (one.weight ?? 0),
          wide: ({ size }: Reference) => `${size?.width} in`,
          metric: ({ size }: Reference) => `${size?.name} ${size?.width} cm`,
        },
      },
    },
    c: {
      sdl: `
        enum Currency { USD EUR GBP }
        type Item @key(fields: "id") {
          id: ID!
          price(currency: Currency!): Int @external
          pound: String @requires(fields: "price(currency: GBP)")
        }`,
      resolvers: { Item: { ...asReference, pound: (one: Reference) => `${one.price} GBP` } },
    },
  });

  it.each([
    ['have each their value', '{ item { label tag } }', { item: { label: '10 USD', tag: '9 EUR' } }],
    [
      'have each their value if two subgraphs need different ones',
      '{ item { label pound } }',
      { item: { label: '10 USD', pound: '8 GBP' } },
    ],
    [
      'have each their value beside a third one of the client',
      '{ item { price(currency: GBP) label tag } }',
      { item: { price: 8, label: '10 USD', tag: '9 EUR' } },
    ],
    [
      'have each their value beside aliases of the client',
      '{ item { a: price(currency: EUR) label price: price(currency: USD) pound tag } }',
      { item: { a: 9, label: '10 USD', price: 10, pound: '8 GBP', tag: '9 EUR' } },
    ],
    [
      'have each their value, also those that agree',
      '{ item { tag shipping label } }',
      { item: { tag: '9 EUR', shipping: 18, label: '10 USD' } },
    ],
    [
      'have each their value of an object',
      '{ item { wide metric size { width(unit: "cm") } } }',
      { item: { wide: '10 in', metric: 'S 25 cm', size: { width: 25 } } },
    ],
    [
      'have each their value in a list',
      '{ items { label tag pound } }',
      {
        items: [
          { label: '10 USD', tag: '9 EUR', pound: '8 GBP' },
          { label: '10 USD', tag: '9 EUR', pound: '8 GBP' },
        ],
      },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });

  it('have each their value beside a variable of the client', async () => {
    const query = 'query($c: Currency!) { item { price(currency: $c) label tag } }';
    for (const [c, value] of Object.entries(currencies)) {
      expect((await supergraph.ask(query, { c })).data).toEqual({
        item: { price: value, label: '10 USD', tag: '9 EUR' },
      });
    }
  });
});

describe('required fields', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { item: Item items: [Item] }
        type Item @key(fields: "id") {
          id: ID!
          sizes: [[Size]]
          owner: Owner!
          media: Media
          cost(from: Int = 1): Int
        }
        type Size { width: Int height: Int }
        type Owner @key(fields: "id") { id: ID! }
        union Media = Image | Video
        type Image { url: String }
        type Video { length: Int }`,
      resolvers: {
        Query: { item: () => ({ id: '1' }), items: () => [{ id: '1' }, null, { id: '2' }, { id: '1' }] },
        Item: {
          __resolveReference: (one: Reference) => one,
          sizes: () => [[{ width: 1, height: 2 }, null], null, []],
          owner: ({ id }: Reference) => ({ id: `o${id}` }),
          media: ({ id }: Reference) =>
            id === '1' ? { __typename: 'Image', url: 'u' } : { __typename: 'Video', length: 3 },
          cost: ({ id }: Reference, { from }: { from: number }) => (id === '1' ? from : null),
        },
      },
    },
    b: {
      sdl: `
        type Owner @key(fields: "id") { id: ID! name: String rank: Int @external title: String @requires(fields: "rank") }`,
      resolvers: {
        Owner: {
          ...asReference,
          name: ({ id }: Reference) => `name of ${id}`,
          title: ({ rank }: { rank?: number }) => `rank ${rank}`,
        },
      },
    },
    c: {
      sdl: `
        type Owner @key(fields: "id") { id: ID! rank: Int name: String @external level: String @requires(fields: "name") }
        type Item @key(fields: "id") {
          id: ID!
          sizes: [[Size]] @external
          owner: Owner! @external
          media: Media @external
          cost(from: Int = 1): Int @external
          area: String @requires(fields: "sizes { width height }")
          by: String @requires(fields: "owner { name }")
          kind: String @requires(fields: "media { ... on Image { url } ... on Video { length } }")
          total: String @requires(fields: "cost")
        }
        type Size @external { width: Int height: Int }
        union Media = Image | Video
        type Image @external { url: String }
        type Video @external { length: Int }`,
      resolvers: {
        Owner: {
          ...asReference,
          rank: ({ id }: Reference) => id.length,
          level: ({ name }: { name?: string }) => `level of ${name}`,
        },
        Item: {
          ...asReference,
          area: ({ sizes }: { sizes?: unknown }) => JSON.stringify(sizes),
          by: ({ owner }: { owner?: { name?: string } }) => owner?.name ?? null,
          kind: ({ media }: { media?: { __typename?: string } }) => JSON.stringify(media),
          total: ({ cost }: { cost?: number | null }) => `${cost}`,
        },
      },
    },
  });

  it('may be nested lists, with null', async () => {
    expect((await supergraph.ask('{ item { area } }')).data).toEqual({
      item: { area: '[[{"width":1,"height":2},null],null,[]]' },
    });
  });

  it('may be of another subgraph than the entity, and of another entity', async () => {
    expect((await supergraph.ask('{ item { by owner { title level } } }')).data).toEqual({
      item: { by: 'name of o1', owner: { title: 'rank 2', level: 'level of name of o1' } },
    });
  });

  it('may be of the members of a union', async () => {
    const { data } = (await supergraph.ask('{ items { kind } }')) as {
      data: { items: ({ kind: string } | null)[] };
    };
    expect(data.items.map((one) => one && (JSON.parse(one.kind) as unknown))).toEqual([
      expect.objectContaining({ url: 'u' }),
      null,
      expect.objectContaining({ length: 3 }),
      expect.objectContaining({ url: 'u' }),
    ]);
  });

  it('have the defaults of their arguments, and may be null', async () => {
    expect((await supergraph.ask('{ items { total cost(from: 5) } }')).data).toEqual({
      items: [{ total: '1', cost: 5 }, null, { total: 'null', cost: null }, { total: '1', cost: 5 }],
    });
  });

  it('of equal objects are sent once', async () => {
    supergraph.forget();
    await supergraph.ask('{ items { by } }');
    const [ofNames] = supergraph.subgraphs['b']?.seen ?? [];
    const [ofItems] = supergraph.subgraphs['c']?.seen ?? [];
    expect(ofNames?.variables['representations']).toEqual([
      { __typename: 'Owner', id: 'o1' },
      { __typename: 'Owner', id: 'o2' },
    ]);
    expect(ofItems?.variables['representations']).toHaveLength(2);
  });
});
