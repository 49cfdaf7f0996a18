import { viewerIdWithScope } from '@cinegraph/service/viewer';
import type { Sender } from '../commands/commands.js';
import type { Context } from '../context.js';
import type { MutationResolvers } from '../generated/resolvers.js';

export const Mutation: MutationResolvers = {
  createMovie: async (_root, { input, idempotencyKey }, context) => ({
    movie: await context.commands.createMovie(senderOf(context, idempotencyKey), input),
  }),

  updateMovie: async (_root, { id, version, input, idempotencyKey }, context) => ({
    movie: await context.commands.updateMovie(senderOf(context, idempotencyKey), id, version, input),
  }),

  upsertMovie: async (_root, { id, externalId, input, idempotencyKey }, context) => ({
    movie: await context.commands.upsertMovie(
      senderOf(context, idempotencyKey),
      { id: id ?? null, externalId: externalId ?? null },
      input,
    ),
  }),

  deleteMovie: async (_root, { id, version, idempotencyKey }, context) => ({
    deletedMovieId: await context.commands.deleteMovie(
      senderOf(context, idempotencyKey),
      id,
      version ?? null,
    ),
  }),
};

/** The scope that `@requiresScopes` states in the schema, so that a direct request is refused, too. */
const scope = 'catalogue:write';

/** Refuses a request without a viewer, or whose viewer may not change the catalogue. */
const senderOf = (context: Context, idempotencyKey: string | null | undefined): Sender => ({
  viewerId: viewerIdWithScope(context, scope),
  idempotencyKey: idempotencyKey ?? null,
});
