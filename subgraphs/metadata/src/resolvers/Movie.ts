import type { MovieResolvers } from '../generated/resolvers.js';

export const Movie: MovieResolvers = {
  __resolveReference: ({ id }, { loaders }) => loaders.movieByReference.load(id),

  genres: ({ id }, _arguments, { loaders }) => loaders.genresByMovieId.load(id),

  directors: async ({ id }, _arguments, { loaders }) => {
    const credits = await loaders.creditsByMovie.load({ movieId: id, role: 'DIRECTOR' });
    return credits.map(({ person }) => person);
  },

  cast: async (movie, _arguments, { loaders }) => {
    const credits = await loaders.creditsByMovie.load({ movieId: movie.id, role: 'ACTOR' });
    return credits.map((credit) => ({ ...credit, movie }));
  },

  externalIds: ({ id }, _arguments, { loaders }) => loaders.externalIdsByMovieId.load(id),

  externalRatings: ({ id }, _arguments, { loaders }) => loaders.externalRatingsByMovieId.load(id),
};
