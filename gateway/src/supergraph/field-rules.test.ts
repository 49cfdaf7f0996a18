import { describe, expect, it } from '@jest/globals';
import { composeServices } from '@apollo/composition';
import { costOfLists, type CostRules } from '@cinegraph/service/list-cost';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { readFieldRules } from './field-rules.js';

const body = `
  type Query { page(take: Int = 5): Page @SIZE(slicingArguments: ["take"], sizedFields: ["items"], requireOneSlicingArgument: false)
    seven: [Item!] @SIZE(assumedSize: 7) plain: [Item!] heavy: Int @COST(weight: 40) }
  type Page { items: [Item!] hints: [Int!] }
  type Item { id: ID! parts: [Part!] }
  type Part @COST(weight: 3) { id: ID! }`;

const rulesOf = (imports: string, cost: string, listSize: string) => {
  const named = body.replaceAll('COST', cost).replaceAll('SIZE', listSize);
  const sdl = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [${imports}]) ${named}`;
  const { supergraphSdl, errors } = composeServices([{ name: 'a', url: 'http://a', typeDefs: parse(sdl) }]);
  if (supergraphSdl === undefined) throw new Error(errors.map(({ message }) => message).join('; '));
  return readFieldRules(parse(supergraphSdl));
};

const schema = buildSchema(body.replaceAll(/@(COST|SIZE)\([^)]*\)/g, ''));

const cost = (ofField: CostRules['ofField'], text: string) => {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  const rules = {
    readCost: 0,
    pageSize: 20,
    plainList: { size: 10, weight: 1 },
    ...(ofField && { ofField }),
  };
  return costOfLists({ schema, document, operation, variables: {} }, rules);
};

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
    expect(cost(ofField, '{ page(take: 3) { items { id } hints } }')).toBe(3 + 10);
    expect(cost(ofField, '{ page { items { id } } }')).toBe(5);
  });

  it('without them, first, last and limit are sizes, and other lists have ten items', () => {
    const ofField = readFieldRules(parse('type Query { a: Int }'));

    expect(ofField).toBeUndefined();
    expect(cost(ofField, '{ seven { id } heavy }')).toBe(10);
    expect(cost(ofField, '{ page(take: 3) { items { id } hints } }')).toBe(20);
  });
});
