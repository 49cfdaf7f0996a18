import type { RatingConnectionResolvers } from '../generated/resolvers.js';

export const RatingConnection: RatingConnectionResolvers = {
  nodes: ({ edges }) => edges.map(({ node }) => node),
  totalCount: ({ total }) => total(),
};
