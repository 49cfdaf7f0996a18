import type { MovieResolvers } from '../generated/resolvers.js';

export const Movie: MovieResolvers = {
  __resolveReference: ({ id }, { loaders }) => loaders.movieByReference.load(id),

  genres: ({ id, lists }, _arguments, { loaders }) => lists?.genres ?? loaders.genresByMovieId.load(id),

  directors: async ({ id, lists }, _arguments, { loaders }) => {
    const credits =
      lists?.directors ?? (await loaders.creditsByMovie.load({ movieId: id, role: 'DIRECTOR' }));
    return credits.map(({ person }) => person);
  },

  cast: async (movie, _arguments, { loaders }) => {
    const { id, lists } = movie;
    const credits = lists?.cast ?? (await loaders.creditsByMovie.load({ movieId: id, role: 'ACTOR' }));
    return credits.map((credit) => ({ ...credit, movie }));
  },

  externalIds: ({ id, lists }, _arguments, { loaders }) =>
    lists?.externalIds ?? loaders.externalIdsByMovieId.load(id),

  externalRatings: ({ id, lists }, _arguments, { loaders }) =>
    lists?.externalRatings ?? loaders.externalRatingsByMovieId.load(id),
};
