import type { RatingResolvers } from '../generated/resolvers.js';

export const Rating: RatingResolvers = {
  movie: async ({ movieId }, _arguments, { loaders }) =>
    (await loaders.isKnownMovie.load(movieId)) ? { id: movieId } : null,
};
