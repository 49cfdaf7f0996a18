import type { TopRatedConnectionResolvers } from '../generated/resolvers.js';

export const TopRatedConnection: TopRatedConnectionResolvers = {
  nodes: ({ edges }) => edges.map(({ node }) => node),
  totalCount: ({ total }) => total(),
};
