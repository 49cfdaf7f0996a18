import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

interface Item {
  readonly id: string;
  readonly sku: string;
  readonly code: { one: string; two: string; three: string };
  readonly name: string;
}

const items: readonly Item[] = ['1', '2', '3'].map((n) => ({
  id: n,
  sku: `s${n}`,
  code: { one: `a${n}`, two: `b${n}`, three: `c${n}` },
  name: `name ${n}`,
}));

type Reference = Partial<Omit<Item, 'code'>> & { readonly code?: Partial<Item['code']> };

const found = (reference: Reference): Item | null =>
  items.find(
    ({ id, sku, code }) => id === reference.id || sku === reference.sku || code.two === reference.code?.two,
  ) ?? null;

/** Fails if the representation has not exactly one of the keys. */
const byOneOf =
  (...keys: readonly (readonly string[])[]) =>
  (reference: Reference & { readonly __typename: string }): Item | null => {
    const names = Object.keys(reference)
      .filter((name) => name !== '__typename')
      .sort();
    const known = keys.some((key) => key.every((field) => names.includes(field)));
    if (!known) throw new Error(`no key has the fields ${names.join(' ')}`);
    return found(reference);
  };

describe('an entity that is reached only through several keys', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `type Query { item(id: ID!): Item items: [Item] }
        type Item @key(fields: "id") { id: ID! }`,
      resolvers: {
        Query: {
          item: (_: unknown, { id }: { id: string }) => ({ id }),
          items: () => [items[0], { id: '9' }, null, items[2]],
        },
        Item: { __resolveReference: byOneOf(['id']) },
      },
    },
    b: {
      sdl: 'type Item @key(fields: "id") @key(fields: "sku") { id: ID! sku: String! }',
      resolvers: { Item: { __resolveReference: byOneOf(['id'], ['sku']) } },
    },
    c: {
      sdl: `type Item @key(fields: "sku") @key(fields: "code { one two }") { sku: String! code: Code! }
        type Code @shareable { one: String! two: String! }`,
      resolvers: { Item: { __resolveReference: byOneOf(['sku'], ['code']) } },
    },
    d: {
      sdl: `type Item @key(fields: "code { one two }") @key(fields: "id code { two three }", resolvable: false) {
          id: ID! @external
          code: Code!
          name: String
          ofId: String @requires(fields: "id")
        }
        type Code @shareable { one: String! two: String! three: String! }`,
      resolvers: {
        Item: {
          __resolveReference: (reference: Reference & { __typename: string }) => {
            const item = byOneOf(['code'])(reference);
            return item && { ...item, id: reference.id };
          },
          ofId: ({ id }: Item) => `of ${id}`,
        },
      },
    },
    e: {
      sdl: `type Item @key(fields: "id code { two three }") { id: ID! code: Code! score: Int }
        type Code @shareable { two: String! three: String! }`,
      resolvers: {
        Item: { __resolveReference: byOneOf(['id', 'code']), score: ({ id }: Item) => Number(id) * 10 },
      },
    },
  });

  it('is resolved along the chain of its keys', async () => {
    expect(await supergraph.ask('{ item(id: "2") { name } }')).toMatchObject({
      status: 200,
      data: { item: { name: 'name 2' } },
    });
  });

  it('is resolved with a key of two parts, one of each end of the chain', async () => {
    expect((await supergraph.ask('{ item(id: "1") { score } }')).data).toEqual({ item: { score: 10 } });
    expect(
      (await supergraph.ask('{ item(id: "1") { score name ofId sku code { one three } } }')).data,
    ).toEqual({
      item: { score: 10, name: 'name 1', ofId: 'of 1', sku: 's1', code: { one: 'a1', three: 'c1' } },
    });
  });

  it('is null where a subgraph of the chain does not know it, and the others are whole', async () => {
    const { data } = await supergraph.ask('{ items { id name score } }');
    expect(data).toEqual({
      items: [
        { id: '1', name: 'name 1', score: 10 },
        { id: '9', name: null, score: null },
        null,
        { id: '3', name: 'name 3', score: 30 },
      ],
    });
  });

  it('is not asked for with a key that has null in it', async () => {
    supergraph.forget();
    await supergraph.ask('{ items { name } }');
    const sent = ['c', 'd'].flatMap((name) =>
      (supergraph.subgraphs[name]?.seen ?? []).flatMap(({ variables }) => variables['representations']),
    );
    expect(sent.length).toBeGreaterThan(0);
    expect(JSON.stringify(sent)).not.toContain('null');
  });

  it('is resolved with aliases that are names of its keys', async () => {
    expect((await supergraph.ask('{ item(id: "2") { id: name sku: score code: ofId } }')).data).toEqual({
      item: { id: 'name 2', sku: 20, code: 'of 2' },
    });
  });
});

describe('an entity of two subgraphs that share no key directly', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `type Query { group: Group }
        type Group @key(fields: "id") { id: ID! items: [Item!]! }
        type Item @key(fields: "id") @key(fields: "sku") @key(fields: "id code { two three }") {
          id: ID! sku: String! code: Code! ofA: String @requires(fields: "name") name: String @external
        }
        type Code @shareable { two: String! three: String! }`,
      resolvers: {
        Query: { group: () => ({ id: 'g' }) },
        Group: { items: () => items.slice(0, 2) },
        Item: {
          __resolveReference: (reference: Reference) => ({ ...found(reference), name: reference.name }),
          ofA: ({ name }: Item) => `of ${name}`,
        },
      },
    },
    b: {
      sdl: `type Item @key(fields: "id code { two three }") @key(fields: "code { one two }") {
          id: ID! code: Code! name: String }
        type Code @shareable { one: String! two: String! three: String! }`,
      resolvers: { Item: { __resolveReference: byOneOf(['id', 'code'], ['code']) } },
    },
    c: {
      sdl: `type Item @key(fields: "code { one two }") { code: Code! stock: Int }
        type Code @shareable { one: String! two: String! }
        type Group @key(fields: "id") { id: ID! size: Int }`,
      resolvers: {
        Item: { __resolveReference: byOneOf(['code']), stock: ({ id }: Item) => Number(id) },
        Group: { __resolveReference: (group: object) => group, size: () => 2 },
      },
    },
  });

  it('is resolved through the third one, and a field that requires the other is right', async () => {
    expect((await supergraph.ask('{ group { size items { id ofA stock name } } }')).data).toEqual({
      group: {
        size: 2,
        items: [
          { id: '1', ofA: 'of name 1', stock: 1, name: 'name 1' },
          { id: '2', ofA: 'of name 2', stock: 2, name: 'name 2' },
        ],
      },
    });
  });
});

describe('an interface object of a subgraph', () => {
  const video = { __typename: 'Video', id: '1', title: 'T1', length: 100 };
  const supergraph = withSupergraph({
    media: {
      sdl: `type Query { media: Media }
        interface Media @key(fields: "id") { id: ID! title: String }
        type Video implements Media @key(fields: "id") { id: ID! title: String length: Int }
        type Article implements Media @key(fields: "id") { id: ID! title: String words: Int }`,
      resolvers: {
        Query: { media: () => video },
        Media: { __resolveType: () => 'Video', __resolveReference: () => video },
        Video: { __resolveReference: () => video },
        Article: { __resolveReference: () => null },
      },
    },
    authors: {
      sdl: 'type Video @key(fields: "id") { id: ID! author: String }',
      resolvers: { Video: { __resolveReference: (reference: object) => reference, author: () => 'A' } },
    },
    lists: {
      sdl: `type Query { list: List }
        type List @key(fields: "id") { id: ID! media: Media first: Media! all: [[Media]] }
        type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
      resolvers: {
        Query: {
          list: () => ({ id: 'l', media: { id: '1' }, first: { id: '1' }, all: [[{ id: '1' }, null]] }),
        },
      },
    },
    notes: {
      sdl: `type Media @key(fields: "id") @interfaceObject {
          id: ID! title: String @external note: String @requires(fields: "title") }`,
      resolvers: {
        Media: {
          __resolveReference: (reference: object) => reference,
          note: ({ title }: { title?: string }) => `note on ${title}`,
        },
      },
    },
  });

  it.each([
    [
      'that cannot resolve it is left out of the way to its fields',
      '{ list { media { id title ... on Video { length author } } } }',
      { list: { media: { id: '1', title: 'T1', length: 100, author: 'A' } } },
    ],
    [
      'has the fields of a type in a third subgraph',
      '{ list { first { ... on Video { author } ... on Article { words } } } }',
      { list: { first: { author: 'A' } } },
    ],
    [
      'is narrowed in nested lists with null',
      '{ list { all { __typename ... on Article { words } ... on Video { length } } } }',
      { list: { all: [[{ __typename: 'Video', length: 100 }, null]] } },
    ],
    [
      'has fields that require a field of the interface',
      '{ list { media { note } } media { note ... on Video { note } } }',
      { list: { media: { note: 'note on T1' } }, media: { note: 'note on T1' } },
    ],
    [
      'has in a fragment on its type the fields that require one of the interface',
      '{ list { media { ... on Video { note author } } } }',
      { list: { media: { note: 'note on T1', author: 'A' } } },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });
});
