import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';

interface User {
  readonly email: string;
  readonly totalProductsCreated?: number;
  readonly yearsOfEmployment?: number;
}

const user: User = { email: 'support@apollographql.com', totalProductsCreated: 1337 };

const deprecatedProduct = {
  sku: 'apollo-federation-v1',
  package: '@apollo/federation-v1',
  reason: 'Migrate to Federation V2',
  createdBy: user,
};

const research = [
  { study: { caseNumber: '1234', description: 'Federation Study' }, outcome: null },
  { study: { caseNumber: '1235', description: 'Studio Study' }, outcome: null },
];

const dimensions = { size: 'small', weight: 1, unit: 'kg' };

const products = [
  {
    id: 'apollo-federation',
    sku: 'federation',
    package: '@apollo/federation',
    variation: { id: 'OSS' },
    dimensions,
    createdBy: user,
    research: research.slice(0, 1),
  },
  {
    id: 'apollo-studio',
    sku: 'studio',
    package: '',
    variation: { id: 'platform' },
    dimensions,
    createdBy: user,
    research: research.slice(1),
  },
];

interface ProductKey {
  readonly id?: string;
  readonly sku?: string;
  readonly package?: string;
  readonly variation?: { readonly id: string };
}

const findProduct = (key: ProductKey) =>
  products.find(({ id, sku, package: name, variation }) =>
    key.id === undefined
      ? sku === key.sku && (name === key.package || variation.id === key.variation?.id)
      : id === key.id,
  ) ?? null;

const findDeprecated = (key: { sku: string; package: string }) =>
  key.sku === deprecatedProduct.sku && key.package === deprecatedProduct.package ? deprecatedProduct : null;

/** Returns the subgraph `products` that the suite tests. Schema and data are those that it expects. */
export const productsSubgraph = (suite: string): SubgraphDefinition<object> => ({
  name: 'products',
  schema: pathToFileURL(join(suite, 'products.graphql')),
  migrations: [],
  topics: [],
  resolvers: {
    Query: {
      product: (_: unknown, key: ProductKey) => findProduct(key),
      deprecatedProduct: (_: unknown, key: { sku: string; package: string }) => findDeprecated(key),
    },
    Product: { __resolveReference: findProduct },
    DeprecatedProduct: { __resolveReference: findDeprecated },
    ProductResearch: {
      __resolveReference: ({ study }: { study: { caseNumber: string } }) =>
        research.find((one) => one.study.caseNumber === study.caseNumber) ?? null,
    },
    User: {
      __resolveReference: (reference: User) => ({ ...user, ...reference }),
      name: () => 'Jane Smith',
      averageProductsCreatedPerYear: ({ totalProductsCreated = 0, yearsOfEmployment = 1 }: User) =>
        Math.round(totalProductsCreated / yearsOfEmployment),
    },
    Inventory: {
      __resolveReference: ({ id }: { id: string }) => ({ id, deprecatedProducts: [deprecatedProduct] }),
    },
  },
  open: () => ({ context: () => ({}) }),
});
