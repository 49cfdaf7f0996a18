import type { SearchNodeResolvers } from '../generated/resolvers.js';

export const SearchNode: SearchNodeResolvers = {
  __resolveType: (node) => ('title' in node ? 'Movie' : 'Person'),
};
