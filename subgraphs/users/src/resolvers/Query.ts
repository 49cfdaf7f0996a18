import { viewerIdOf } from '@cinegraph/service/viewer';
import type { QueryResolvers } from '../generated/resolvers.js';
import { findMe } from '../queries/accounts.js';

export const Query: QueryResolvers = {
  me: (_root, _arguments, context) => findMe(context.prisma, viewerIdOf(context)),
};
