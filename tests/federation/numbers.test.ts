import { describe, expect, it } from '@jest/globals';
import { stripIgnoredCharacters } from 'graphql';
import { loosely, raw } from './support/loose.js';
import { withSupergraph } from './support/supergraph.js';

const numbers = [
  '9007199254740993',
  '-9007199254740993',
  '123456789012345678901234567890',
  '1.10',
  '1.0',
  '-0.0',
  '3.141592653589793238462643',
  '0.1000000000000000055511151231257827',
  '1e400',
  '1E5',
  '2.50e-7',
];

describe('a number that JavaScript cannot hold', () => {
  let number = '';
  const supergraph = withSupergraph({
    a: {
      sdl: `
        scalar Long
        input In { x: Long y: [Long] }
        type Query { big: Long bigs: [[Long]] echo(x: Long): String list(x: [Long!]): String input(in: In): String byId(id: ID!): String item: Item float: Float }
        type Item @key(fields: "big") { big: Long! json: Long }`,
      answer: loosely(() => ({
        Query: {
          big: raw(number),
          bigs: [[raw(number), null], [raw('7')]],
          echo: 'x',
          list: 'x',
          input: 'x',
          byId: 'x',
          float: raw(number),
          item: {
            __typename: 'Item',
            big: raw(number),
            json: { list: [raw(number)], text: number, 'a"b\\': raw(number) },
          },
        },
      })),
    },
    b: {
      sdl: `scalar Long
        type Item @key(fields: "big") { big: Long! json: Long @external name: String sum: Long @requires(fields: "json") }`,
      answer: loosely(() => ({ entity: () => ({ name: 'n', sum: raw(number) }) })),
    },
  });
  const sent = (name: string) => supergraph.subgraphs[name]?.seen.map(({ body }) => body) ?? [];

  it.each(numbers)('keeps its text in an answer: %s', async (text) => {
    number = text;
    expect((await supergraph.ask('{ big a: big bigs item { json } }')).text).toBe(
      `{"data":{"big":${text},"a":${text},"bigs":[[${text},null],[7]],"item":{"json":{"list":[${text}],"text":"${text}","a\\"b\\\\":${text}}}}}`,
    );
  });

  it.each(numbers)('keeps its text in the key and the required fields of an entity: %s', async (text) => {
    number = text;
    supergraph.forget();
    expect((await supergraph.ask('{ item { name sum } }')).text).toBe(
      `{"data":{"item":{"name":"n","sum":${text}}}}`,
    );
    expect(sent('b')[0]).toContain(`"big":${text}`);
    expect(sent('b')[0]).toContain(`"list":[${text}]`);
  });

  it.each(numbers)('keeps its text in a variable of a custom scalar: %s', async (text) => {
    for (const [declared, field, value] of [
      ['Long', 'echo(x: $v)', text],
      ['[Long!]', 'list(x: $v)', `[${text},1]`],
      ['In', 'input(in: $v)', `{"x":${text},"y":[${text}]}`],
      ['Long', 'echo(x: $v)', `{"a":[${text}]}`],
    ] as const) {
      supergraph.forget();
      const { data } = await supergraph.send(
        `{"query":"query($v: ${declared}) { r: ${field} }","variables":{"v":${value}}}`,
      );
      expect(data).toEqual({ r: 'x' });
      expect(sent('a')[0]).toContain(value);
    }
  });

  it.each(numbers)('keeps its text as a literal of a custom scalar: %s', async (text) => {
    for (const field of [
      `echo(x: ${text})`,
      `list(x: [${text}])`,
      `input(in: {x: ${text}, y: [${text}]})`,
      `echo(x: {a: [${text}]})`,
    ]) {
      supergraph.forget();
      expect((await supergraph.ask(`{ r: ${field} }`)).data).toEqual({ r: 'x' });
      const { query } = JSON.parse(sent('a')[0] ?? '{}') as { query: string };
      expect(query.replaceAll(' ', '')).toContain(text);
    }
  });

  it('keeps its text as the default of a variable', async () => {
    supergraph.forget();
    await supergraph.ask('query($v: Long = 9007199254740993) { echo(x: $v) }');
    expect(sent('a')[0]).toContain('9007199254740993');
  });

  it('keeps its digits as a literal and as a variable of an ID', async () => {
    supergraph.forget();
    await supergraph.ask('{ byId(id: 9007199254740993) }');
    await supergraph.send('{"query":"query($v: ID!) { byId(id: $v) }","variables":{"v":"9007199254740993"}}');
    expect(sent('a')).toHaveLength(2);
    for (const body of sent('a')) expect(body).toContain('9007199254740993');
  });

  it('is no text: a variable beside a text of the same digits is another request', async () => {
    supergraph.forget();
    for (const value of ['9007199254740993', '"9007199254740993"', '9007199254740992']) {
      await supergraph.send(`{"query":"query($v: Long) { echo(x: $v) }","variables":{"v":${value}}}`);
    }
    expect(new Set(sent('a')).size).toBe(3);
  });

  it.each(numbers.filter((text) => text !== '1e400'))('keeps its text as a Float: %s', async (text) => {
    number = text;
    expect((await supergraph.ask('{ float }')).text).toBe(`{"data":{"float":${text}}}`);
  });

  it('is refused as an Int', async () => {
    const { status, errors } = await supergraph.send(
      '{"query":"query($v: Int) { big @skip(if: true) echo(x: $v) }","variables":{"v":9007199254740993}}',
    );
    expect([status, errors?.length]).toEqual([400, 1]);
  });
});

describe('a literal of a custom scalar', () => {
  const supergraph = withSupergraph({
    a: { sdl: 'scalar JSON type Query { echo(x: JSON): String }', answer: loosely({ Query: { echo: 'x' } }) },
  });

  it.each([
    '{a: FOO}',
    '{a: {b: [FOO, BAR, "FOO", null, true]}}',
    '[FOO]',
    'FOO',
    '{a: 1.0, b: 1.10}',
    'null',
    '[]',
    '{}',
    '""',
    '"a\\"b\\\\ü\\n"',
  ])('reaches the subgraph as it was written: %s', async (literal) => {
    for (const query of [
      `{ echo(x: ${literal}) }`,
      `query($unused: JSON = 1) { a: echo(x: ${literal}) b: echo(x: $unused) }`,
    ]) {
      supergraph.forget();
      await supergraph.ask(query);
      const queries = supergraph.subgraphs['a']?.seen.map((request) => request.query);
      expect(queries?.map((text) => stripIgnoredCharacters(text)).join()).toContain(
        stripIgnoredCharacters(literal),
      );
    }
  });

  it('may hold variables', async () => {
    supergraph.forget();
    await supergraph.ask('query($v: JSON, $w: String) { echo(x: {a: $v, b: [FOO, $w]}) }', {
      v: [1],
      w: 'x',
    });
    const [request] = supergraph.subgraphs['a']?.seen ?? [];
    expect(stripIgnoredCharacters(request?.query ?? '')).toMatch(/\{a:\$\w+ b:\[FOO ?\$\w+\]\}/);
    expect(Object.values(request?.variables ?? {})).toEqual([[1], 'x']);
  });
});
