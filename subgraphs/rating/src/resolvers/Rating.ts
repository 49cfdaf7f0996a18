import type { RatingResolvers } from '../generated/resolvers.js';

export const Rating: RatingResolvers = {
  movie: ({ movieId }) => ({ id: movieId }),
};
