import { describe, expect, it } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { loosely } from './support/loose.js';
import { outcome, withSupergraph } from './support/supergraph.js';

const fail = () => {
  throw new GraphQLError('Not for you.', { extensions: { code: 'FORBIDDEN' } });
};

describe('the path of an error', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { found: [Found!]! item: Item items: [[Item]] must: Item! list: [Int!] root: String }
        type Mutation { change(n: Int!): Int }
        union Found = Repo | Person
        type Repo { label: String list: [Int] }
        type Person { nick: String name(long: Boolean): String numbers: [Int] item: Item }
        type Item @key(fields: "id") { id: ID! title: String strict: String! sizes: [Size!]! }
        type Size { width: Int! height: Int }`,
      resolvers: {
        Query: {
          found: () => [
            { __typename: 'Repo', label: 'L', list: [1] },
            { __typename: 'Person', name: 'M' },
          ],
          item: () => ({ id: '1' }),
          items: () => [
            [{ id: '1' }, null],
            [{ id: '2' }, { id: '1' }],
          ],
          must: () => ({ id: '3' }),
          list: () => [1, new GraphQLError('Not for you.', { extensions: { code: 'FORBIDDEN' } })],
          root: fail,
        },
        Mutation: { change: (_: unknown, { n }: { n: number }) => (n === 2 ? fail() : n) },
        Person: {
          nick: fail,
          numbers: fail,
          name: (_: unknown, { long }: { long?: boolean }) => (long ? fail() : 'M'),
          item: () => ({ id: '1' }),
        },
        Item: {
          title: ({ id }: { id: string }) => (id === '1' ? fail() : 'T'),
          strict: fail,
          sizes: () => [{ width: 1 }, {}],
        },
        Size: { width: ({ width }: { width?: number }) => width ?? fail(), height: fail },
      },
    },
    b: {
      sdl: `type Item @key(fields: "id") {
          id: ID! price(in: String): Int stock: Int! part: Part title: String @external badge: String @requires(fields: "title")
        }
        type Part { name: String! weight: Int list: [Part!] }`,
      resolvers: {
        Item: {
          __resolveReference: ({ id, title }: { id: string; title?: string }) => ({ id, title }),
          price: ({ id }: { id: string }) => (id === '1' ? fail() : 10),
          stock: ({ id }: { id: string }) => (id === '1' ? fail() : 5),
          part: () => ({ weight: 1 }),
          badge: ({ title }: { title?: string }) => `badge ${title}`,
        },
        Part: {
          name: fail,
          weight: ({ weight }: { weight?: number }) => weight ?? fail(),
          list: () => [{ weight: 1 }, {}],
        },
      },
    },
  });

  it.each<[sentence: string, query: string, data: unknown, paths: unknown[]]>([
    [
      'has the alias of the client where the planner renames a field',
      '{ found { ... on Repo { x: label } ... on Person { x: nick } } }',
      { found: [{ x: 'L' }, { x: null }] },
      [['found', 1, 'x']],
    ],
    [
      'has the alias of the client where lists are renamed',
      '{ found { ... on Repo { x: list } ... on Person { x: numbers } } }',
      { found: [{ x: [1] }, { x: null }] },
      [['found', 1, 'x']],
    ],
    [
      'has the alias of the client for a field with arguments',
      '{ f: found { ... on Person { a: name b: name(long: true) } } }',
      { f: [{}, { a: 'M', b: null }] },
      [['f', 1, 'b']],
    ],
    [
      'has each alias of one field',
      '{ item { a: title b: title } }',
      { item: { a: null, b: null } },
      [
        ['item', 'a'],
        ['item', 'b'],
      ],
    ],
    ['has the alias of a root field', '{ a: root b: item { id } }', { a: null, b: { id: '1' } }, [['a']]],
    [
      'has the indexes of nested lists',
      '{ x: items { y: title } }',
      {
        x: [
          [{ y: null }, null],
          [{ y: 'T' }, { y: null }],
        ],
      },
      [
        ['x', 0, 0, 'y'],
        ['x', 1, 1, 'y'],
      ],
    ],
    [
      'has the indexes of each object that has the entity',
      '{ items { p: price(in: "EUR") } }',
      {
        items: [
          [{ p: null }, null],
          [{ p: 10 }, { p: null }],
        ],
      },
      [
        ['items', 0, 0, 'p'],
        ['items', 1, 1, 'p'],
      ],
    ],
    [
      'leads to the non-null field of an entity that is removed',
      '{ items { id s: stock } }',
      {
        items: [
          [null, null],
          [{ id: '2', s: 5 }, null],
        ],
      },
      [
        ['items', 0, 0, 's'],
        ['items', 1, 1, 's'],
      ],
    ],
    [
      'leads into an object of another subgraph',
      '{ must { p: part { w: weight list { v: weight } } } }',
      { must: { p: { w: 1, list: [{ v: 1 }, { v: null }] } } },
      [['must', 'p', 'list', 1, 'v']],
    ],
    [
      'leads to the non-null field below an object of another subgraph that is removed',
      '{ m: must { id p: part { n: name } } }',
      { m: { id: '3', p: null } },
      [['m', 'p', 'n']],
    ],
    [
      'leads to the non-null field of an object in a list that is removed',
      '{ must { id } item { id s: sizes { w: width } } }',
      { must: { id: '3' }, item: null },
      [['item', 's', 1, 'w']],
    ],
    [
      'leads to the item of a list of scalars',
      '{ n: list must { id } }',
      { n: null, must: { id: '3' } },
      [['n', 1]],
    ],
    [
      'leads to the field of a mutation',
      'mutation { a: change(n: 1) b: change(n: 2) c: change(n: 3) }',
      { a: 1, b: null, c: 3 },
      [['b']],
    ],
    [
      'leads to the field whose required field failed, and that one only if it was asked for',
      '{ item { b: badge } }',
      { item: { b: null } },
      [['item', 'b']],
    ],
  ])('%s', async (_sentence, query, data, paths) => {
    const answer = await supergraph.ask(query);
    expect(outcome(answer)).toEqual({ data, errorPaths: expect.arrayContaining(paths) });
    expect(answer.errors).toHaveLength(paths.length);
    for (const { message, extensions } of answer.errors ?? [])
      expect([message, extensions]).toEqual(['Not for you.', { code: 'FORBIDDEN' }]);
  });

  it('of a root that is removed leads to the field', async () => {
    const answer = await supergraph.ask('{ m: must { s: strict } item { id } }');
    expect(outcome(answer)).toEqual({ data: null, errorPaths: [['m', 's']] });
  });
});

describe('an error of a subgraph without a path', () => {
  let nick: string | null = 'k';
  let path: unknown;
  const supergraph = withSupergraph({
    a: {
      sdl: 'type Query { items: [Item] a: String } type Item @key(fields: "id") { id: ID! }',
      answer: loosely({
        Query: {
          items: [{ __typename: 'Item', id: '1' }, null, { __typename: 'Item', id: '2' }],
          a: null,
        },
      }),
    },
    b: {
      sdl: 'type Query { b: String } type Item @key(fields: "id") { id: ID! name: String nick: String }',
      answer: loosely(
        () => ({ Query: { b: 'b' }, entity: () => ({ name: 'n', nick }) }),
        () => ({
          errors: [
            {
              message: 'Slow today.',
              ...(path !== undefined && { path }),
              extensions: { code: 'FORBIDDEN' },
            },
          ],
        }),
      ),
    },
  });
  const whole = { id: '1', name: 'n', nick: 'k' };

  it.each([
    undefined,
    null,
    [],
    'nick',
    ['unknown'],
    ['_entities'],
    ['_entities', 7],
    ['_entities', 0, 'unknown'],
    ['_entities', 0, 'name'],
    ['items', 1],
    [0, 'a'],
    [{}, null],
    5,
  ])('beside whole data has no path, and the data stay: %p', async (next) => {
    nick = 'k';
    path = next;
    const { data, errors } = await supergraph.ask('{ a items { id name nick } }');
    expect(data).toEqual({ a: null, items: [whole, null, { ...whole, id: '2' }] });
    expect(errors?.map((error) => [error.message, error.path])).toEqual([['Slow today.', undefined]]);
  });

  it('is at the nulls of its own fetch, and at no other', async () => {
    nick = null;
    path = undefined;
    const answer = await supergraph.ask('{ a items { x: nick name } }');
    expect(outcome(answer)).toEqual({
      data: { a: null, items: [{ x: null, name: 'n' }, null, { x: null, name: 'n' }] },
      errorPaths: expect.arrayContaining([
        ['items', 0, 'x'],
        ['items', 2, 'x'],
      ]),
    });
  });

  it('beside whole data of a root fetch has no path', async () => {
    path = undefined;
    const answer = await supergraph.ask('{ a b }');
    expect(outcome(answer)).toEqual({ data: { a: null, b: 'b' }, errorPaths: [undefined] });
  });
});

describe('errors of a subgraph in a strange form', () => {
  let body = '';
  const supergraph = withSupergraph({
    a: { sdl: 'type Query { a: String must: String! }', answer: () => body },
  });

  it.each([
    '{"data":{"a":"x"},"errors":[]}',
    '{"data":{"a":"x"},"errors":null}',
    '{"data":{"a":"x"},"extensions":5}',
  ])('are no errors: %s', async (text) => {
    body = text;
    expect((await supergraph.ask('{ a }')).text).toBe('{"data":{"a":"x"}}');
  });

  it.each([
    '{"data":{"a":null},"errors":[null]}',
    '{"data":{"a":null},"errors":["text"]}',
    '{"data":{"a":null},"errors":[{}]}',
    '{"data":{"a":null},"errors":[{"message":5,"path":"a","extensions":"x","locations":7}]}',
    '{"data":null,"errors":[{"message":"x"}]}',
    '{"errors":[{"message":"x"}]}',
    '{"data":null}',
    '{}',
    '[]',
    'null',
    '"text"',
    '{"data":[]}',
    '{"data":"text"}',
    'no JSON',
    '',
  ])('are one error at the field, without anything of the subgraph: %s', async (text) => {
    body = text;
    const answer = await supergraph.ask('{ x: a }');
    expect([answer.status, outcome(answer)]).toEqual([200, { data: { x: null }, errorPaths: [['x']] }]);
    expect(answer.errors?.[0]?.extensions?.['code']).toMatch(/^[A-Z_]+$/);
    expect(answer.text).not.toMatch(/127\.0\.0\.1|SyntaxError|\.js/);
  });
});

/** A subgraph with one entity, of which it has the key only. */
const oneItem = {
  sdl: 'type Query { item: Item } type Item @key(fields: "id") { id: ID! }',
  resolvers: { Query: { item: () => ({ id: '1' }) } },
};

describe('a field that fails and makes its whole entity null', () => {
  const received: unknown[] = [];
  const supergraph = withSupergraph({
    a: oneItem,
    b: {
      sdl: `type Query { must: String! number: Int! }
        type Item @key(fields: "id") {
          id: ID! count: Int! nick: String strict: String! title: String! @shareable list: [Int!]
        }`,
      resolvers: {
        Query: { must: fail, number: () => 1 },
        Item: { count: () => 1, nick: () => 'n', strict: fail, title: fail, list: () => [1] },
      },
    },
    // The title may be null in the supergraph, and can only be asked of the other subgraph.
    c: {
      sdl: `type Query { other: Item @shareable }
        type Item @key(fields: "id", resolvable: false) { id: ID! title: String @shareable }`,
      resolvers: { Query: { other: () => null } },
    },
    d: {
      sdl: `type Item @key(fields: "id") {
          id: ID!
          strict: String! @external
          nick: String @external
          badge: String @requires(fields: "strict")
          greeting: String @requires(fields: "nick")
        }`,
      resolvers: {
        Item: {
          __resolveReference: (reference: object) => {
            received.push(reference);
            return reference;
          },
          badge: () => 'badge',
          greeting: () => 'greeting',
        },
      },
    },
  });

  it.each<[sentence: string, query: string, data: unknown, paths: unknown[]]>([
    [
      'is reported instead of a non-null field before it',
      '{ item { n: count s: strict } }',
      { item: null },
      [['item', 's']],
    ],
    ['is reported before other fields', '{ item { s: strict n: count } }', { item: null }, [['item', 's']]],
    [
      'is reported once where it is nullable',
      '{ item { t: title n: count } }',
      { item: null },
      [['item', 't']],
    ],
    [
      'is reported alone beside nullable fields',
      '{ item { m: nick l: list t: title } }',
      { item: { m: null, l: null, t: null } },
      [['item', 't']],
    ],
    [
      'is reported at the fields of the client if it is only required',
      '{ item { m: nick b: badge } }',
      { item: { m: null, b: null } },
      [
        ['item', 'm'],
        ['item', 'b'],
      ],
    ],
    [
      'is reported at a non-null field if it is only required',
      '{ item { n: count b: badge } }',
      { item: null },
      [['item', 'n']],
    ],
    [
      'is reported at a field that requires another one of the entity',
      '{ item { g: greeting t: title } }',
      { item: { g: null, t: null } },
      [
        ['item', 'g'],
        ['item', 't'],
      ],
    ],
    ['is reported at the root', '{ n: number m: must }', null, [['m']]],
  ])('%s', async (_sentence, query, data, paths) => {
    received.length = 0;
    const answer = await supergraph.ask(query);
    expect(outcome(answer)).toEqual({ data, errorPaths: expect.arrayContaining(paths) });
    expect(answer.errors).toHaveLength(paths.length);
    for (const { message, extensions } of answer.errors ?? [])
      expect([message, extensions]).toEqual(['Not for you.', { code: 'FORBIDDEN' }]);
    expect(received).toEqual([]);
  });
});

describe('a field that fails below an object that another subgraph has as well', () => {
  const supergraph = withSupergraph({
    a: oneItem,
    b: {
      sdl: `type Item @key(fields: "id") { id: ID! count: Int! nick: String size: Size! @shareable }
        type Size { w: Int! }`,
      resolvers: { Item: { count: () => 1, nick: () => 'n', size: () => ({}) }, Size: { w: fail } },
    },
    c: {
      sdl: 'type Item @key(fields: "id") { id: ID! size: Size! @shareable } type Size { h: Int }',
      resolvers: { Item: { size: () => ({ h: 1 }) } },
    },
    d: {
      sdl: `type Item @key(fields: "id") {
          id: ID! size: Size! @external label: String @requires(fields: "size { w }")
        }
        type Size @external { w: Int! }`,
      resolvers: { Item: { label: () => 'label' } },
    },
  });

  it.each<[query: string, data: unknown, paths: unknown[]]>([
    ['{ item { size { h } n: count label } }', { item: null }, [['item', 'n']]],
    ['{ item { n: count size { h } label } }', { item: null }, [['item', 'n']]],
    [
      '{ item { size { h } m: nick label } }',
      { item: { size: { h: 1 }, m: null, label: null } },
      [
        ['item', 'm'],
        ['item', 'label'],
      ],
    ],
  ])('is reported where the client asked for nothing else that shows it: %s', async (query, data, paths) => {
    const answer = await supergraph.ask(query);
    expect(outcome(answer)).toEqual({ data, errorPaths: paths });
  });
});

describe('a subgraph that reports the error of one field twice', () => {
  const error = {
    message: 'Not for you.',
    path: ['_entities', 0, 'strict'],
    extensions: { code: 'FORBIDDEN' },
  };
  const supergraph = withSupergraph({
    a: oneItem,
    b: {
      sdl: 'type Item @key(fields: "id") { id: ID! count: Int! strict: String! }',
      answer: () => JSON.stringify({ data: { _entities: [null] }, errors: [error, error] }),
    },
  });

  it.each(['{ item { count strict } }', '{ item { strict count } }'])('has it once: %s', async (query) => {
    expect(outcome(await supergraph.ask(query))).toEqual({
      data: { item: null },
      errorPaths: [['item', 'strict']],
    });
  });
});
