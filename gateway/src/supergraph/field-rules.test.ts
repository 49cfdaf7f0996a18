import { describe, expect, it } from '@jest/globals';
import { composeServices } from '@apollo/composition';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { actualCost, createCostMeter } from '../request/operation-cost.js';
import { readFieldRules, type CostOfField } from './field-rules.js';

const body = `
  type Query { page(take: Int = 5): Page @SIZE(slicingArguments: ["take"], sizedFields: ["items"], requireOneSlicingArgument: false)
    strict(first: Int, last: Int): [Item!] @SIZE(slicingArguments: ["first", "last"])
    seven: [Item!] @SIZE(assumedSize: 7) plain: [Item!] heavy: Int @COST(weight: 40) cheap: Page @COST(weight: -10) one: Item
    find(filter: Filter, mode: Mode, exact: Boolean @COST(weight: 6)): Int any: Any tall: Tall }
  type Mutation { change(id: ID!): Item }
  input Filter { text: String @COST(weight: 5) and: [Filter!] mode: Mode }
  enum Mode @COST(weight: 2) { FAST SLOW }
  type Page { items: [Item!] hints: [Int!] }
  type Item { id: ID! parts: [Part!] }
  type Part @COST(weight: 3) { id: ID! }
  union Any = Item | Part
  interface Tall { parts: [Int!] }
  type Tower implements Tall { parts: [Int!] @COST(weight: 9) @SIZE(assumedSize: 4) }`;

const rulesOf = (imports: string, cost: string, listSize: string) => {
  const named = body.replaceAll('COST', cost).replaceAll('SIZE', listSize);
  const sdl = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [${imports}]) ${named}`;
  const { supergraphSdl, errors } = composeServices([{ name: 'a', url: 'http://a', typeDefs: parse(sdl) }]);
  if (supergraphSdl === undefined) throw new Error(errors.map(({ message }) => message).join('; '));
  return readFieldRules(parse(supergraphSdl));
};

const imported = () => rulesOf('"@cost", "@listSize"', 'cost', 'listSize');

const schema = buildSchema(body.replaceAll(/@(COST|SIZE)\([^)]*\)/g, ''));

const countedOf = (text: string, variables: Record<string, unknown> = {}) => {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  return { schema, document, operation, variables };
};

const cost = (ofField: CostOfField, text: string, variables?: Record<string, unknown>) =>
  createCostMeter([])(countedOf(text, variables), ofField).cost;

describe('@cost and @listSize of a supergraph', () => {
  it.each([
    ['imported', '"@cost", "@listSize"', 'cost', 'listSize'],
    ['renamed', '{ name: "@cost", as: "@weight" }, { name: "@listSize", as: "@size" }', 'weight', 'size'],
    ['with the prefix of the link', '', 'federation__cost', 'federation__listSize'],
  ])('sizes and weights are those of the directives, %s', (_how, imports, costName, listSizeName) => {
    const ofField = rulesOf(imports, costName, listSizeName);

    expect(cost(ofField, '{ seven { id } }')).toBe(7);
    expect(cost(ofField, '{ plain { id } }')).toBe(10);
    expect(cost(ofField, '{ plain { parts { id } } }')).toBe(10 * (1 + 10 * 3));
    expect(cost(ofField, '{ heavy seven { id } }')).toBe(47);
    expect(cost(ofField, '{ page(take: 3) { items { id } hints } }')).toBe(1 + 3);
    expect(cost(ofField, '{ page { items { id } } }')).toBe(1 + 5);
  });

  it('without them, an object costs 1, a scalar 0, a mutation 10 more, and lists have ten items', () => {
    const ofField = readFieldRules(parse('type Query { a: Int }'));

    expect(cost(ofField, '{ one { id } }')).toBe(1);
    expect(cost(ofField, '{ seven { id } heavy }')).toBe(10);
    expect(cost(ofField, '{ plain { parts { id } } }')).toBe(10 * (1 + 10));
    expect(cost(ofField, 'mutation { change(id: 1) { id } }')).toBe(10 + 1);
    // Each request costs something.
    expect(cost(ofField, '{ __typename }')).toBe(1);
  });

  it('arguments and input fields with a weight count, as literals and as variables', () => {
    const ofField = imported();

    expect(cost(ofField, '{ find }')).toBe(1);
    expect(cost(ofField, '{ find(exact: true) }')).toBe(6);
    expect(cost(ofField, '{ find(filter: {}) }')).toBe(1);
    expect(cost(ofField, '{ find(filter: { text: "a" }, mode: FAST) }')).toBe(1 + 5 + 2);
    expect(cost(ofField, '{ find(filter: { and: [{ text: "a" }, { mode: SLOW }] }) }')).toBe(1 + (6 + 3));
    const query = 'query ($filter: Filter, $exact: Boolean) { find(filter: $filter, exact: $exact) }';
    expect(cost(ofField, query, { filter: { and: [{ text: 'a' }, { text: 'b' }] }, exact: false })).toBe(
      1 + 12 + 6,
    );
    expect(cost(ofField, query, { filter: null })).toBe(1);
  });

  it('values as deep as the limits allow are counted', () => {
    // Each level is a list and an object; a request may have 4,000 values.
    let filter: unknown = {};
    for (let level = 0; level < 2_000; level += 1) filter = { and: [filter] };
    expect(cost(imported(), 'query ($filter: Filter) { find(filter: $filter) }', { filter })).toBe(2_001);
  });

  it('a list that requires one slicing argument is refused with none, and with two', () => {
    const ofField = imported();

    expect(cost(ofField, '{ strict(first: 3) { id } }')).toBe(3);
    const query = 'query ($first: Int, $last: Int) { strict(first: $first, last: $last) { id } }';
    expect(cost(ofField, query, { last: 4 })).toBe(4);
    for (const variables of [{}, { first: 1, last: 2 }, { first: null }]) {
      expect(() => cost(ofField, query, variables)).toThrow(
        'The field strict must have exactly one of the arguments "first", "last". Send one of them.',
      );
    }
  });

  it('what an interface or a union hides is not cheaper', () => {
    const ofField = imported();

    expect(cost(ofField, '{ any { ... on Item { id } } }')).toBe(3);
    expect(cost(ofField, '{ tall { parts } }')).toBe(1 + 4 * 9);
  });

  it('a negative weight makes a field free, and pays for no other', () => {
    const ofField = imported();

    expect(cost(ofField, '{ cheap { hints } }')).toBe(1);
    expect(cost(ofField, '{ cheap { hints } heavy }')).toBe(40);
  });

  it('the actual cost counts the items of lists that were returned, and nothing for null', () => {
    const ofField = imported();
    const actual = (text: string, data: unknown) => actualCost(countedOf(text), data, ofField);
    const query =
      '{ a: page(take: 50) { ...P items { parts { id } } } heavy } fragment P on Page { items { id } }';

    expect(actual(query, { a: { items: [{ id: 1, parts: [{ id: 2 }, { id: 3 }] }] }, heavy: 1 })).toBe(
      1 + (1 + 2 * 3) + 40,
    );
    expect(actual(query, { a: null, heavy: null })).toBe(0);
    expect(actual('mutation { change(id: 1) { id } }', { change: { id: '1' } })).toBe(11);
  });
});

describe('an operation that was measured', () => {
  it('is measured again only if a variable has changed on which its cost depends', () => {
    const rules = imported();
    let calls = 0;
    const ofField: CostOfField = (type, field) => {
      calls += 1;
      return rules(type, field);
    };
    const meter = createCostMeter([]);
    const counted = countedOf(
      'query ($n: Int, $all: Boolean!, $id: String) { strict(first: $n) @include(if: $all) { id } find(filter: { text: $id }) }',
    );
    const measure = (variables: Record<string, unknown>) => {
      calls = 0;
      const { cost: measured } = meter({ ...counted, variables }, ofField);
      return [measured, calls > 0];
    };

    expect(measure({ all: false, n: 3 })).toEqual([1, true]);
    expect(measure({ all: true, n: 3 })).toEqual([4, true]);
    expect(measure({ all: false, n: 3 })).toEqual([1, true]);
    expect(measure({ all: true, n: 3 })).toEqual([4, false]);
    expect(measure({ all: false, n: 3 })).toEqual([1, false]);
    expect(measure({ all: true, n: 4 })).toEqual([5, true]);
  });

  it('has the number of selections of a field with a budget, through aliases, fragments and interfaces', () => {
    const meter = createCostMeter(['Query.find', 'Tower.parts']);
    const text = `query ($no: Boolean = true) { a: find b: find ...F c: find @skip(if: $no) tall { parts ... on Tower { parts } } }
      fragment F on Query { d: find ... { e: find } }`;

    expect(meter(countedOf(text), imported()).fields).toEqual([
      ['Query.find', 4],
      ['Tower.parts', 2],
    ]);
    expect(meter(countedOf('{ heavy }'), imported()).fields).toEqual([]);
  });
});
