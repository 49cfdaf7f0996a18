import { describe, expect, it } from '@jest/globals';
import { loosely, type LooseData } from './support/loose.js';
import { withSupergraph, type Answer } from './support/supergraph.js';

/** What a client sees of a response: data, and the code and path of each error. */
const seen = ({ status, data, errors = [] }: Answer) => ({
  status,
  data,
  errors: errors.map(({ path, extensions }) => [extensions?.['code'], path]),
});

const invalid = (...path: readonly (string | number)[]) => ['SUBGRAPH_VALUE_INVALID', path];

describe('a value of a subgraph that does not have the type of its field', () => {
  let root: NonNullable<LooseData['Query']> = {};
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query {
          int: Int float: Float string: String boolean: Boolean id: ID enum: E json: JSON
          list: [Int] rows: [Row!] object: Row strict: Strict deep: [[Strict!]!] hits: [Hit] node: Node
          must: String! mustEnum: E! other: String
        }
        scalar JSON
        enum E { ONE TWO THREE @inaccessible }
        interface Node { id: ID! }
        type Row implements Node { id: ID! name: String row: Row tags: [String!]! }
        type Strict { x: Int! y: Int strict: Strict! }
        union Hit = Row | Strict`,
      answer: loosely(() => ({ Query: { other: 'o', ...root } })),
    },
  });

  it.each<[what: string, query: string, value: unknown, data: unknown]>([
    ['a text for Int', '{ int other }', { int: '5' }, { int: null, other: 'o' }],
    ['a fraction for Int', '{ int other }', { int: 1.5 }, { int: null, other: 'o' }],
    ['an Int beyond 32 bits', '{ int other }', { int: 2147483648 }, { int: null, other: 'o' }],
    ['a boolean for Int', '{ int other }', { int: true }, { int: null, other: 'o' }],
    ['a text for Float', '{ float other }', { float: '1.5' }, { float: null, other: 'o' }],
    ['a number for String', '{ string other }', { string: 5 }, { string: null, other: 'o' }],
    ['an object for String', '{ string other }', { string: { a: 1 } }, { string: null, other: 'o' }],
    ['a number for Boolean', '{ boolean other }', { boolean: 1 }, { boolean: null, other: 'o' }],
    ['a fraction for ID', '{ id other }', { id: 1.5 }, { id: null, other: 'o' }],
    ['a boolean for ID', '{ id other }', { id: true }, { id: null, other: 'o' }],
    ['an unknown value of an enum', '{ enum other }', { enum: 'FOUR' }, { enum: null, other: 'o' }],
    ['an inaccessible value of an enum', '{ enum other }', { enum: 'THREE' }, { enum: null, other: 'o' }],
    ['a number for an enum', '{ enum other }', { enum: 1 }, { enum: null, other: 'o' }],
    [
      'a name of Object.prototype for an enum',
      '{ enum other }',
      { enum: 'toString' },
      { enum: null, other: 'o' },
    ],
    ['a scalar for a list of scalars', '{ list other }', { list: 3 }, { list: null, other: 'o' }],
    [
      'an object for a list of objects',
      '{ rows { id } other }',
      { rows: { id: '1' } },
      { rows: null, other: 'o' },
    ],
    [
      'a list for an object',
      '{ object { id } other }',
      { object: [{ id: '1' }] },
      { object: null, other: 'o' },
    ],
    ['a scalar for an object', '{ object { id } other }', { object: 'x' }, { object: null, other: 'o' }],
    ['a boolean for an object', '{ object { id } other }', { object: true }, { object: null, other: 'o' }],
    [
      'an unknown type for an interface',
      '{ node { id } other }',
      { node: { __typename: 'Nothing', id: '1' } },
      { node: null, other: 'o' },
    ],
    [
      'a type that is no member of the interface',
      '{ node { id } other }',
      { node: { __typename: 'Strict', id: '1' } },
      { node: null, other: 'o' },
    ],
  ])('is null with an error: %s', async (_what, query, value, data) => {
    root = value as typeof root;
    const field = Object.keys(root)[0] ?? '';
    expect(seen(await supergraph.ask(query))).toEqual({ status: 200, data, errors: [invalid(field)] });
  });

  it('is an error at the alias of the client', async () => {
    root = { int: 'x', rows: [{ id: '1', name: 5 }] };
    expect(seen(await supergraph.ask('{ a: int b: rows { c: name id } other }'))).toEqual({
      status: 200,
      data: { a: null, b: [{ c: null, id: '1' }], other: 'o' },
      errors: [invalid('a'), invalid('b', 0, 'c')],
    });
  });

  it('is an error at each index of a list, and the other items stay', async () => {
    root = {
      list: [1, 'x', null, 3, 2.5],
      rows: [
        { id: '1', name: 'n' },
        { id: '2', name: [] },
      ],
    };
    expect(seen(await supergraph.ask('{ list rows { id name } }'))).toEqual({
      status: 200,
      data: {
        list: [1, null, null, 3, null],
        rows: [
          { id: '1', name: 'n' },
          { id: '2', name: null },
        ],
      },
      errors: [invalid('list', 1), invalid('list', 4), invalid('rows', 1, 'name')],
    });
  });

  it('removes the nearest nullable parent if the field is non-null', async () => {
    root = {
      strict: { x: null, y: 1 },
      rows: [
        { id: '1', tags: ['a'] },
        { id: '2', tags: ['a', null] },
      ],
      object: { id: '1', row: { id: null, name: 'n' }, name: 'n' },
    };
    expect(
      seen(await supergraph.ask('{ strict { x y } rows { tags } object { id name row { id name } } other }')),
    ).toEqual({
      status: 200,
      data: { strict: null, rows: null, object: { id: '1', name: 'n', row: null }, other: 'o' },
      errors: [invalid('strict', 'x'), invalid('rows', 1, 'tags', 1), invalid('object', 'row', 'id')],
    });
  });

  it('removes a list and all its parents up to the nullable one', async () => {
    root = { deep: [[{ x: 1 }], [{ x: 2 }, { x: 'no' }]] };
    expect(seen(await supergraph.ask('{ deep { x } other }'))).toEqual({
      status: 200,
      data: { deep: null, other: 'o' },
      errors: [invalid('deep', 1, 1, 'x')],
    });
  });

  it('removes the whole data if nothing above is nullable', async () => {
    root = { must: null };
    expect(seen(await supergraph.ask('{ must other }'))).toEqual({
      status: 200,
      data: null,
      errors: [invalid('must')],
    });
    root = { mustEnum: 'FOUR' };
    expect(seen(await supergraph.ask('{ a: mustEnum other }'))).toEqual({
      status: 200,
      data: null,
      errors: [invalid('a')],
    });
  });

  it('is reported once for a field that is removed', async () => {
    root = { strict: { x: 'no', y: 'no', strict: null } };
    const { data, errors } = await supergraph.ask('{ strict { x strict { y } } other }');
    expect(data).toEqual({ strict: null, other: 'o' });
    expect(errors).toHaveLength(1);
  });

  it('is an error at a non-null field that is missing; a nullable one is null', async () => {
    root = { strict: { y: 1 }, object: { id: '1' } };
    expect(seen(await supergraph.ask('{ strict { x y } other }'))).toEqual({
      status: 200,
      data: { strict: null, other: 'o' },
      errors: [invalid('strict', 'x')],
    });
    const { data } = await supergraph.ask('{ object { id name } other }');
    expect(data).toEqual({ object: { id: '1', name: null }, other: 'o' });
  });

  it('names neither value nor subgraph in the message', async () => {
    root = { int: 'secret-value' };
    const { text, errors } = await supergraph.ask('{ int }');
    expect(text).not.toContain('secret');
    expect(text).not.toMatch(/subgraph "?a"?\b|127\.0\.0\.1/);
    expect(errors?.[0]?.message).toMatch(/^[A-Z].*\.$/);
  });

  it('does not exist for a custom scalar: any value passes', async () => {
    for (const json of [0, '', false, [1, [null]], { a: { b: [{}] } }, 'x']) {
      root = { json };
      expect(seen(await supergraph.ask('{ json }'))).toEqual({ status: 200, data: { json }, errors: [] });
    }
  });
});

describe('values of a subgraph that are converted or ignored', () => {
  let entity: (representation: Readonly<Record<string, unknown>>) => unknown = () => null;
  let queryOfB: Record<string, unknown> = {};
  const supergraph = withSupergraph({
    a: {
      sdl: `type Query { id: ID ids: [ID!] item: Item items: [Item] of: String float: Float }
        type Item @key(fields: "id") { id: ID! title: String nested: Nested @shareable }
        type Nested @shareable { x: Int y: Int }`,
      answer: loosely({
        Query: {
          id: 5,
          ids: [1, '2'],
          item: { __typename: 'Item', id: 7, title: 't', nested: { x: 1, y: 2, z: 3 } },
          items: [{ __typename: 'Item', id: '1', title: 't' }, null],
          of: 'a',
          float: 3,
          more: 'more',
        },
      }),
    },
    b: {
      sdl: `type Query { ofB: String }
        type Item @key(fields: "id") { id: ID! name: String nested: Nested @shareable }
        type Nested @shareable { x: Int y: Int z: Int }`,
      answer: loosely(() => ({ Query: queryOfB, entity: (one) => entity(one) })),
    },
  });

  it('an ID that is a number is a text', async () => {
    expect((await supergraph.ask('{ id ids item { id } }')).text).toBe(
      '{"data":{"id":"5","ids":["1","2"],"item":{"id":"7"}}}',
    );
  });

  it('a whole number for a Float stays as it is', async () => {
    expect((await supergraph.ask('{ float }')).text).toBe('{"data":{"float":3}}');
  });

  it('an ID that is a number is the key of an entity', async () => {
    entity = ({ id }) => ({ __typename: 'Item', name: `name of ${String(id)}` });
    expect((await supergraph.ask('{ item { id name } }')).data).toEqual({
      item: { id: '7', name: 'name of 7' },
    });
  });

  it('fields that were not asked for are ignored', async () => {
    supergraph.subgraphs['b']?.misbehave((response) =>
      response
        .setHeader('content-type', 'application/json')
        .end(
          '{"data":{"_entities":[{"__typename":"Item","id":"other","title":"other","name":"n","more":1,"nested":{"x":9}}],"of":"b","item":null}}',
        ),
    );
    try {
      expect(await supergraph.ask('{ of item { id title name nested { x } } }')).toMatchObject({
        status: 200,
        data: { of: 'a', item: { id: '7', title: 't', name: 'n', nested: { x: 1 } } },
      });
      supergraph.subgraphs['b']?.misbehave((response) =>
        response
          .setHeader('content-type', 'application/json')
          .end('{"data":{"ofB":"b","of":"b","id":"b","__schema":{},"__typename":"Other"}}'),
      );
      expect((await supergraph.ask('{ of ofB id }')).text).toBe('{"data":{"of":"a","ofB":"b","id":"5"}}');
      expect((await supergraph.ask('{ __typename ofB }')).text).toBe(
        '{"data":{"__typename":"Query","ofB":"b"}}',
      );
    } finally {
      supergraph.subgraphs['b']?.misbehave(undefined);
    }
  });

  it('an entity of null or of a wrong kind costs only its own fields', async () => {
    queryOfB = { ofB: 'b' };
    for (const answer of [null, 5, 'x', [], [{}]]) {
      entity = () => answer;
      const { status, data } = await supergraph.ask('{ items { id title name } ofB }');
      expect([status, data]).toEqual([200, { items: [{ id: '1', title: 't', name: null }, null], ofB: 'b' }]);
    }
  });

  it('a list of entities of another length is a fault of the subgraph, and nothing of it is used', async () => {
    for (const entities of ['[]', '[{"name":"n"},{"name":"m"}]', 'null', '{"name":"n"}', '"n"']) {
      supergraph.subgraphs['b']?.misbehave((response) =>
        response.setHeader('content-type', 'application/json').end(`{"data":{"_entities":${entities}}}`),
      );
      const { status, data, errors } = await supergraph.ask('{ items { id name } }');
      expect([status, data]).toEqual([200, { items: [{ id: '1', name: null }, null] }]);
      expect(errors?.length).toBeGreaterThan(0);
    }
    supergraph.subgraphs['b']?.misbehave(undefined);
  });
});

describe('a field that two subgraphs are asked for, and that a third one sends unasked', () => {
  let unasked: unknown;
  let sizes: readonly unknown[] = [];
  const supergraph = withSupergraph({
    a: {
      sdl: 'type Query { rows: [[Item]] } type Item @key(fields: "id") { id: ID! }',
      answer: () =>
        JSON.stringify({
          data: { rows: [[{ __typename: 'Item', id: '1', size: unasked }, null]], __typename: unasked },
        }),
    },
    b: {
      sdl: `type Item @key(fields: "id") { id: ID! size: Size @shareable } type Size { w: Int }`,
      answer: loosely(() => ({ entity: () => ({ size: sizes[0] }) })),
    },
    c: {
      sdl: `type Item @key(fields: "id") { id: ID! size: Size @shareable } type Size { h: Int }`,
      answer: loosely(() => ({ entity: () => ({ size: sizes[1] }) })),
    },
    d: {
      sdl: `type Item @key(fields: "id") {
          id: ID! size: Size @external label: String @requires(fields: "size { h }")
        }
        type Size @external { h: Int }`,
      answer: loosely({ entity: ({ size }) => ({ label: `label of ${JSON.stringify(size)}` }) }),
    },
  });

  it.each([undefined, null, 'noise', 5, [], ['noise'], {}, { w: 'noise', h: 'noise' }, [{ w: 3 }]])(
    'has no effect: %p',
    async (value) => {
      unasked = value;
      sizes = [{ w: 1 }, { h: 2 }];
      const { data, errors } = await supergraph.ask('{ rows { size { w h } label } }');
      expect([data, errors]).toEqual([
        { rows: [[{ size: { w: 1, h: 2 }, label: 'label of {"h":2}' }, null]] },
        undefined,
      ]);
    },
  );

  it.each(['noise', { w: 1, h: 1 }])('does not replace a null that both return: %p', async (value) => {
    unasked = value;
    sizes = [null, null];
    const { data, errors } = await supergraph.ask('{ rows { size { w h } } }');
    expect([data, errors]).toEqual([{ rows: [[{ size: null }, null]] }, undefined]);
  });
});
