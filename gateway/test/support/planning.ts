import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';

const link =
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.7", import: ["@key", "@shareable", "@override"])';

/** Composes subgraphs `s0`, `s1`, … of these schemas, which do not link the federation spec themselves. */
export const composeSupergraph = (schemas: readonly string[]): string => {
  const { errors, supergraphSdl } = composeServices(
    schemas.map((sdl, index) => ({
      name: `s${index}`,
      url: `http://s${index}.test/graphql`,
      typeDefs: parse(`${link}\n${sdl}`),
    })),
  );
  if (!supergraphSdl) throw new Error(`the schemas do not compose: ${errors?.join('\n')}`);
  return supergraphSdl;
};

/** An interface of two types over five subgraphs, each of which can resolve every step. */
export const fiveSubgraphs = (): string =>
  composeSupergraph(
    [0, 1, 2, 3, 4].map(
      (n) => `
        type Query { node: Node @shareable }
        interface Node { id: ID! next: Node }
        type A implements Node @key(fields: "id") { id: ID! next: Node @shareable f${n}: Int }
        type B implements Node @key(fields: "id") { id: ID! next: Node @shareable f${n}: Int }`,
    ),
  );

const leaves = '...on A{f0 f1 f2 f3 f4}...on B{f0 f1 f2 f3 f4}';

/** Fragments that double at each level, over `fiveSubgraphs`: 12 levels are 0.8 kB and plan for minutes. */
export const doublingFragments = (levels: number): string => {
  let text = '{node{...F0}}';
  for (let n = 0; n < levels; n++) {
    text += ` fragment F${n} on Node{...on A{next{...F${n + 1}}}...on B{next{...F${n + 1}}}}`;
  }
  return `${text} fragment F${levels} on Node{${leaves}}`;
};

/** Nested fields over `fiveSubgraphs`, with five times as many paths at each level. */
export const nestedFields = (levels: number): string =>
  `{node{${'next{'.repeat(levels)}${leaves}${'}'.repeat(levels)}}}`;

/** Three subgraphs that share nearly every field, so that each field can come from any of them. */
export const threeShareableSubgraphs = (): string =>
  composeSupergraph(
    [0, 1, 2].map(
      (n) => `
        type Query { shop: Shop @shareable }
        type Shop @key(fields: "id") {
          id: ID! name: String @shareable owner: Person @shareable stock: Stock @shareable
          products: [Product] @shareable own${n}: Int
        }
        type Person @key(fields: "id") {
          id: ID! name: String @shareable shop: Shop @shareable friend: Person @shareable own${n}: Int
        }
        type Stock @shareable { count: Int value: Price depot: Depot }
        type Price @shareable { amount: Int currency: String tax: Tax }
        type Tax @shareable { rate: Int }
        type Depot @shareable { city: String keeper: Person }
        type Product @key(fields: "id") {
          id: ID! name: String @shareable price: Price @shareable maker: Person @shareable
          similar: [Product] @shareable own${n}: Int
        }`,
    ),
  );

/** About 300 honest characters over `threeShareableSubgraphs`, with 6,912 possible plans. */
export const honestShopOperation =
  '{ shop { name own0 own1 own2 owner { name own0 own1 own2 friend { name own0 own1 own2 } } stock { count ' +
  'value { amount } depot { city keeper { name own0 own1 own2 } } } products { name own0 own1 own2 ' +
  'price { amount } maker { name own0 own1 own2 } similar { own0 own1 own2 name maker { own0 own1 own2 } } } } }';
