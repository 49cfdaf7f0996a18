import { viewerIdOf } from '@cinegraph/service/viewer';
import type { MutationResolvers } from '../generated/resolvers.js';

export const Mutation: MutationResolvers = {
  submitRating: async (_root, { movieId, score, review, idempotencyKey }, context) => {
    const viewerId = viewerIdOf(context);
    const {
      rating,
      aggregatedRating,
      movieId: keptId = movieId,
    } = await context.commands.rate({ movieId, viewerId, score, review: review ?? null }, idempotencyKey);
    if (!rating) throw new Error('the answer to a submission has no rating');
    return {
      rating: {
        ...rating,
        createdAt: new Date(rating.createdAt),
        updatedAt: new Date(rating.updatedAt),
      },
      movie: aggregatedRating && { id: keptId, aggregatedRating },
    };
  },

  retractRating: async (_root, { movieId, idempotencyKey }, context) => {
    const viewerId = viewerIdOf(context);
    const {
      retracted,
      aggregatedRating,
      movieId: keptId = movieId,
    } = await context.commands.rate({ movieId, viewerId, score: null, review: null }, idempotencyKey);
    return { retracted, movie: aggregatedRating && { id: keptId, aggregatedRating } };
  },
};
