import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
import type { GenreResolvers } from '../generated/resolvers.js';

export const Genre: GenreResolvers = {
  movieCount: ({ id, movieCount }, _arguments, { loaders }) =>
    movieCount ?? loaders.movieCountByGenreId.load(id),

  movies: async ({ id }, { sort, first, after }, { loaders, cursors }) => {
    const scope = `Genre.movies:${JSON.stringify([id, sort])}`;
    const page = readPage({ first, after: after ?? null }, cursors, scope);
    const listed = await loaders.moviesByGenre.load({ genreId: id, sort, page });
    const { edges, pageInfo } = toConnection(listed, page, ({ sortValues }) =>
      cursors.seal(scope, sortValues),
    );
    return {
      edges: edges.map(({ cursor, node }) => ({ cursor, node: node.movie })),
      pageInfo,
      total: () => loaders.movieCountByGenreId.load(id),
    };
  },
};
