import { describe, expect, it } from '@jest/globals';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { countItems } from './list-size.js';

const schema = buildSchema(`
  scalar _Any
  union _Entity = Item
  type Query { items(first: Int = 10, last: Int): [Item!]! one: Item _entities(representations: [_Any!]!): [_Entity]! }
  type Item { id: ID! others(first: Int): [Item!]! plain: [Item!]! }`);

const count = (text: string, variables: Record<string, unknown> = {}) => {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  return countItems({ schema, document, operation, variables });
};

describe('the items of an operation', () => {
  it('the items of an operation are the sizes of its lists, and 20 for each list', () => {
    expect(count('{ one { id } }')).toBe(0);
    expect(count('{ items(first: 3) { id } }')).toBe(23);
    expect(count('{ items { id } }')).toBe(30);
    expect(count('{ one { others { id } } }')).toBe(40);
    expect(count('{ a: items(first: 1) { id } b: items(last: 5) { id } }')).toBe(46);
  });

  it('the sizes of nested lists multiply, through fragments and plain lists, and with variables', () => {
    const nested = 20 + 3 * (1 + 20 + 4);
    expect(count('{ items(first: 3) { others(first: 4) { id } } }')).toBe(nested);
    expect(
      count(
        'query ($n: Int) { items(first: $n) { plain { ...F } } } fragment F on Item { others(first: 4) { id } }',
        { n: 3 },
      ),
    ).toBe(nested);
    expect(count('{ items(first: 3) { ... on Item { ... { others(first: 4) { id } } } } }')).toBe(nested);
  });

  it('a variable that is left out counts as the default of the operation', () => {
    expect(count('query ($n: Int = 90) { items(first: $n) { id } }')).toBe(110);
    expect(count('query ($n: Int = 90) { items(first: $n) { id } }', { n: 2 })).toBe(22);
  });

  it('items are counted quickly even if fragments double at each of forty levels', () => {
    const levels = Array.from(
      { length: 40 },
      (_, n) =>
        `fragment F${n} on Item { a: others(first: 1) { ...F${n + 1} } b: others(first: 1) { ...F${n + 1} } }`,
    );
    expect(count(`{ one { ...F0 } } ${levels.join(' ')} fragment F40 on Item { id }`)).toBeGreaterThan(1e12);
  });

  it('representations of entities count as items, and each must be of a type in the schema', () => {
    const text =
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Item { others(first: 2) { id } } } }';
    const item = { __typename: 'Item', id: '1' };
    expect(count(text, { r: [item, item, item] })).toBe(20 + 3 * (1 + 22));
    for (const bad of [null, 5, {}, { __typename: 'Nothing' }, { __typename: 7 }]) {
      expect(() => count(text, { r: [item, bad] })).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT' }),
      );
    }
  });
});
