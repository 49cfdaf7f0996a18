import type { MeResolvers } from '../generated/resolvers.js';

export const Me: MeResolvers = {
  user: ({ id, name }) => ({ id, name }),
};
