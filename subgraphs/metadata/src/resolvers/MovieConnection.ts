import type { MovieConnectionResolvers } from '../generated/resolvers.js';

export const MovieConnection: MovieConnectionResolvers = {
  nodes: ({ edges }) => edges.map(({ node }) => node),
  totalCount: ({ total }) => total(),
};
