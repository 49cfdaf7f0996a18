import { describe, expect, it } from '@jest/globals';
import {
  buildSchema,
  Kind,
  parse,
  print,
  stripIgnoredCharacters,
  validate,
  type OperationDefinitionNode,
} from 'graphql';
import { normalise } from './normalise.js';

const schema = buildSchema(`
  directive @cached(seconds: Int) on FIELD
  type Query { item(id: ID): Item hits: [Hit!]! media: [Media!]! constructor: String }
  type Mutation { add(id: ID!): Item }
  union Hit = Book | Film
  interface Media { id: ID! title(lang: String): String }
  type Book implements Media { id: ID! title(lang: String): String pages: Int by: Person }
  type Film implements Media { id: ID! title(lang: String): String by: Person }
  type Person { id: ID! bio(length: Int): String age: Int }
  type Item { id: ID! legacyId: ID title: String next: Item price(currency: String): Int }
`);

const normalised = (
  text: string,
  conditions: Record<string, unknown> = {},
  reservedNames: ReadonlySet<string> = new Set(),
) => {
  const document = parse(text);
  expect(validate(schema, document)).toEqual([]);
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const operation = document.definitions.find(
    (definition): definition is OperationDefinitionNode => definition.kind === Kind.OPERATION_DEFINITION,
  );
  if (!operation) throw new Error('no operation');
  const result = normalise(schema, { operation, fragments }, conditions, reservedNames, undefined);
  if (result.text !== '') expect(validate(schema, parse(result.text))).toEqual([]);
  return {
    text: result.text === '' ? '' : stripIgnoredCharacters(result.text),
    values: Object.fromEntries([...result.placeholders].map(([name, value]) => [name, print(value)])),
  };
};

describe('an operation as the planner sees it', () => {
  it.each([
    ['{ item { id: legacyId title } }', 'query{item{legacyId title}}'],
    ['{ item { __typename: title } }', 'query{item{title}}'],
    ['{ a: item { t: title } a: item { legacyId } }', 'query{item{title legacyId}}'],
    ['{ item { __typename } }', 'query{item{__typename}}'],
    ['{ __typename }', ''],
    ['{ __schema { queryType { name } } item { id } }', 'query{item{id}}'],
  ])('%s has no alias of the client', (text, expected) => {
    expect(normalised(text).text).toBe(expected);
  });

  it('each set of arguments is a field of its own, and each value a placeholder', () => {
    const { text, values } = normalised(
      'query($n: Int) { hits { ... on Book { by { x: bio(length: 10) } } ... on Film { by { x: bio(length: $n) y: bio } } } }',
    );
    expect(text).toBe(
      'query($p0:Int$p1:Int){hits{__typename ...on Book{by{bio(length:$p0)}}...on Film{by{bio__3:bio(length:$p1)bio__4:bio}}}}',
    );
    expect(values).toEqual({ p0: '10', p1: '$n' });
  });

  it('operations that differ in literals and aliases have the same text', () => {
    expect(normalised('{ a: item(id: "1") { t: title } }').text).toBe(
      normalised('{ item(id: 2) { title } }').text,
    );
  });

  it('a field that the planner may require with other arguments never has its schema name', () => {
    expect(normalised('{ item { price } }', {}, new Set(['price'])).text).toBe('query{item{price__1:price}}');
  });

  it('a name that every object of JavaScript has is replaced', () => {
    expect(normalised('{ constructor }').text).toBe('query{constructor__0:constructor}');
  });

  it.each([
    [true, 'query{item{title}}'],
    [false, 'query{item{id}}'],
  ])('conditions are applied: %s', (x, expected) => {
    const text =
      'query($x: Boolean!) { item { title @include(if: $x) ...F @skip(if: $x) } } fragment F on Item { id }';
    expect(normalised(text, { x }).text).toBe(expected);
  });

  it('the type of an abstract selection is asked for once, outside its fragments', () => {
    expect(normalised('{ media { ... on Book { __typename pages } } }').text).toBe(
      'query{media{__typename ...on Book{pages}}}',
    );
    expect(normalised('{ media { id } }').text).toBe('query{media{id}}');
  });

  it('a fragment that applies to every object is part of the selection, and one that applies to none is left out', () => {
    expect(normalised('{ item { ... on Item { id } ... { title } } }').text).toBe('query{item{id title}}');
    expect(normalised('{ media { ... on Media { id } } }').text).toBe('query{media{id}}');
  });

  it('equal fields of a mutation stay apart, because each is executed', () => {
    expect(normalised('mutation { a: add(id: 1) { id } b: add(id: 1) { id } }').text).toBe(
      'mutation($p0:ID!$p1:ID!){add(id:$p0){id}add__1:add(id:$p1){id}}',
    );
  });

  it('a directive that subgraphs may know is kept', () => {
    expect(normalised('{ item { title @cached(seconds: 5) other: title } }').text).toBe(
      'query($p0:Int){item{title__1:title@cached(seconds:$p0)title}}',
    );
  });

  it('an object under two names is fetched twice, because null in one must not remove the other', () => {
    expect(normalised('{ item { title } b: item { legacyId } }').text).toBe(
      'query{item{title}item__1:item{legacyId}}',
    );
  });

  it('fragments that repeat a field do not multiply it', () => {
    const levels = Array.from(
      { length: 30 },
      (_, level) => `fragment F${level} on Item { next { ...F${level + 1} } next { ...F${level + 1} } }`,
    );
    const { text } = normalised(`{ item { ...F0 } } ${levels.join(' ')} fragment F30 on Item { id }`);
    expect(text).toBe(`query{item{${'next{'.repeat(30)}id${'}'.repeat(30)}}}`);
  });

  it('an operation of too many fields is refused', () => {
    const levels = Array.from(
      { length: 15 },
      (_, level) => `fragment F${level} on Item { price(currency: "${level}") next { ...F${level + 1} } }`,
    );
    const wide = Array.from({ length: 6_000 }, (_, n) => `f${n}: price(currency: "${n}")`);
    expect(() =>
      normalised(`{ item { ...F0 } } ${levels.join(' ')} fragment F15 on Item { ${wide.join(' ')} }`),
    ).toThrow(
      expect.objectContaining({ extensions: expect.objectContaining({ code: 'OPERATION_TOO_COMPLEX' }) }),
    );
  });
});
