import type { GenreResolvers } from '../generated/resolvers.js';

export const Genre: GenreResolvers = {
  movieCount: ({ id, movieCount }, _arguments, { loaders }) =>
    movieCount ?? loaders.movieCountByGenreId.load(id),
};
