import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

describe('an operation', () => {
  const log: string[] = [];
  const change =
    (subgraph: string) =>
    (_: unknown, { n }: { n: number }) => {
      log.push(`${subgraph}${n}`);
      return { __typename: 'Item', id: String(n), changes: log.length };
    };
  const supergraph = withSupergraph({
    a: {
      sdl: `
        schema { query: Reading mutation: Writing }
        extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])
        "What can be read."
        type Reading { item: Item lists: [[[Item!]]] echo(list: [[Int]] object: In): String }
        input In { a: Int b: In list: [Int!] e: E = ONE }
        enum E { ONE TWO }
        type Writing { changeA(n: Int!): Item }
        type Item @key(fields: "id") { id: ID! title: String changes: Int }`,
      resolvers: {
        Reading: {
          item: () => ({ id: '1' }),
          lists: () => [[[{ id: '1' }], [], null], null, []],
          echo: (_: unknown, args: object) => JSON.stringify(args),
        },
        Writing: { changeA: change('a') },
        Item: { title: ({ id }: { id: string }) => `T${id}`, __resolveReference: (one: object) => one },
      },
    },
    b: {
      sdl: `
        schema { query: B mutation: WriteB }
        extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])
        type B { other: Int }
        type WriteB { changeB(n: Int!): Item }
        type Item @key(fields: "id") { id: ID! price: Int }`,
      resolvers: {
        B: { other: () => 1 },
        WriteB: { changeB: change('b') },
        Item: {
          price: ({ id }: { id: string }) => Number(id) * 10,
          __resolveReference: (one: object) => one,
        },
      },
    },
  });

  it('has the root types that the schema names Query and Mutation', async () => {
    expect((await supergraph.ask('{ t: __typename item { title price } other }')).data).toEqual({
      t: 'Query',
      item: { title: 'T1', price: 10 },
      other: 1,
    });
    expect(
      (await supergraph.ask('mutation { t: __typename ... on Mutation { changeA(n: 1) { id } } }')).data,
    ).toEqual({
      t: 'Mutation',
      changeA: { id: '1' },
    });
  });

  it('of __typename alone asks no subgraph', async () => {
    supergraph.forget();
    expect((await supergraph.ask('{ __typename a: __typename }')).text).toBe(
      '{"data":{"__typename":"Query","a":"Query"}}',
    );
    expect((await supergraph.ask('mutation { __typename }')).data).toEqual({ __typename: 'Mutation' });
    expect(Object.values(supergraph.subgraphs).flatMap(({ seen }) => seen)).toEqual([]);
  });

  it('runs its mutations one after the other, in the order of the document', async () => {
    log.length = 0;
    const { text } = await supergraph.ask(`mutation {
      one: changeA(n: 1) { changes price }
      two: changeB(n: 2) { title id }
      three: changeB(n: 3) { price }
      four: changeA(n: 4) { changes title }
      five: changeB(n: 2) { id }
    }`);
    expect(log).toEqual(['a1', 'b2', 'b3', 'a4', 'b2']);
    expect(text).toBe(
      '{"data":{"one":{"changes":1,"price":10},"two":{"title":"T2","id":"2"},"three":{"price":30},"four":{"changes":4,"title":"T4"},"five":{"id":"2"}}}',
    );
  });

  it('runs one mutation for each response name, also with equal arguments, and one for equal names', async () => {
    log.length = 0;
    await supergraph.ask(
      'mutation { a: changeA(n: 1) { id } b: changeA(n: 1) { id } a: changeA(n: 1) { title } }',
    );
    expect(log).toEqual(['a1', 'a1']);
    log.length = 0;
    await supergraph.ask(
      'mutation { ...F changeB(n: 2) { id } } fragment F on Mutation { changeA(n: 1) { id } changeB(n: 2) { title } }',
    );
    expect(log).toEqual(['a1', 'b2']);
  });

  it('may mix introspection, data and __typename at the root', async () => {
    const { text } = await supergraph.ask(`{
      first: __type(name: "Query") { name description fields { name } }
      item { price }
      __schema { mutationType { name } queryType { name } }
      t: __typename
      ...More
    } fragment More on Query { other none: __type(name: "Nothing") { name } }`);
    expect(JSON.parse(text)).toEqual({
      data: {
        first: {
          name: 'Query',
          description: 'What can be read.',
          fields: ['item', 'lists', 'echo', 'other'].map((name) => ({ name })),
        },
        item: { price: 10 },
        __schema: { mutationType: { name: 'Mutation' }, queryType: { name: 'Query' } },
        t: 'Query',
        other: 1,
        none: null,
      },
    });
    expect(Object.keys((JSON.parse(text) as { data: object }).data)).toEqual([
      'first',
      'item',
      '__schema',
      't',
      'other',
      'none',
    ]);
  });

  it('does not see the machinery of federation', async () => {
    for (const query of ['{ _service { sdl } }', '{ _entities(representations: []) { __typename } }']) {
      expect(await supergraph.ask(query)).toMatchObject({ status: 400 });
    }
    const { text } = await supergraph.ask('{ __schema { types { name } directives { name } } }');
    expect(text).not.toMatch(/_Entity|_Any|_Service|join__|link__|federation__|FieldSet|Reading|"B"/);
  });

  it('has the fields of an answer in the order of the document', async () => {
    const { text } = await supergraph.ask(
      '{ other item { price ...F id title } lists { id price } } fragment F on Item { title __typename }',
    );
    expect(text).toBe(
      '{"data":{"other":1,"item":{"price":10,"title":"T1","__typename":"Item","id":"1"},"lists":[[[{"id":"1","price":10}],[],null],null,[]]}}',
    );
  });

  it('hands on lists, objects, enums and null in arguments as they are', async () => {
    const expected = '{"list":[[1,null],null],"object":{"e":"TWO","a":null,"b":{"e":"ONE","list":[3]}}}';
    const literal = '{ echo(list: [[1, null], null], object: { e: TWO, a: null, b: { list: 3 } }) }';
    const variables = { list: [[1, null], null], object: { e: 'TWO', a: null, b: { list: 3 } } };
    const normal = (text: unknown) => JSON.parse(String(text)) as unknown;
    for (const { data } of [
      await supergraph.ask(literal),
      await supergraph.ask(
        'query($list: [[Int]], $object: In) { echo(list: $list, object: $object) }',
        variables,
      ),
      await supergraph.ask(
        'query($n: Int, $in: Int, $e: E = TWO) { echo(list: [[$in, $n], null], object: { e: $e, a: $n, b: { list: [3] } }) }',
        { n: null, in: 1 },
      ),
    ]) {
      expect(normal((data as { echo: string }).echo)).toEqual(normal(expected));
    }
  });

  it('has a variable under any name', async () => {
    for (const name of ['representations', 'p0', 'contextualArgument_1_0', 'client_representations', '_']) {
      const { data } = await supergraph.ask(
        `query($${name}: Int) { echo(list: [[$${name}]]) item { price } }`,
        { [name]: 7 },
      );
      expect(data).toEqual({ echo: '{"list":[[7]]}', item: { price: 10 } });
    }
  });

  it('is chosen by its name, and fragments and variables of others have no effect', async () => {
    const query = `
      query One($x: Int) { echo(list: [[$x]]) ...F }
      query Two($x: [[Int]]) { echo(list: $x) ...F }
      fragment F on Query { item { title } }`;
    for (const [operationName, x] of [
      ['One', 5],
      ['Two', [[5]]],
    ] as const) {
      const { data } = await supergraph.send(JSON.stringify({ query, operationName, variables: { x } }));
      expect(data).toEqual({ echo: '{"list":[[5]]}', item: { title: 'T1' } });
    }
  });
});
