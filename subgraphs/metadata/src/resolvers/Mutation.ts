import { viewerIdOf } from '@cinegraph/service/viewer';
import type { MutationResolvers } from '../generated/resolvers.js';

export const Mutation: MutationResolvers = {
  createMovie: (_root, { input, idempotencyKey }, context) =>
    context.commands.createMovie(viewerIdOf(context), input, idempotencyKey ?? null),

  updateMovie: async (_root, { id, version, input }, context) => {
    viewerIdOf(context);
    return context.commands.updateMovie(id, version, input);
  },

  upsertMovie: async (_root, { id, externalId, input }, context) => {
    viewerIdOf(context);
    return context.commands.upsertMovie({ id: id ?? null, externalId: externalId ?? null }, input);
  },

  deleteMovie: async (_root, { id, version }, context) => {
    viewerIdOf(context);
    return context.commands.deleteMovie(id, version ?? null);
  },
};
