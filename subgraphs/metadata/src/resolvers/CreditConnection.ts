import type { CreditConnectionResolvers } from '../generated/resolvers.js';

export const CreditConnection: CreditConnectionResolvers = {
  nodes: ({ edges }) => edges.map(({ node }) => node),
  totalCount: ({ total }) => total(),
};
