import type { QueryResolvers } from '../generated/resolvers.js';
import { findMe } from '../queries/accounts.js';

export const Query: QueryResolvers = {
  me: (_root, _arguments, { viewer, prisma }) => viewer && findMe(prisma, viewer.id),
};
