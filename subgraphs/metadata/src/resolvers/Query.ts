import { readPage, readPageSize, toConnection } from '@cinegraph/subgraph/pagination';
import type { QueryResolvers } from '../generated/resolvers.js';
import { countMovies, findMovieList, movieListScope } from '../queries/movie-list.js';
import { findHits } from '../queries/search.js';
import { checkMovieFilter, checkSearchText } from '../rules.js';

export const Query: QueryResolvers = {
  movie: (_root, { id }, { loaders }) => loaders.movieById.load(id),

  movies: async (
    _root,
    { filter: requestedFilter, sort, first, after, last, before },
    { pool, prisma, cursors },
  ) => {
    const filter = requestedFilter ?? {};
    checkMovieFilter(filter);
    const scope = movieListScope(filter, sort);
    const page = readPage(
      { first: first ?? null, after: after ?? null, last: last ?? null, before: before ?? null },
      cursors,
      scope,
    );
    const listed = await findMovieList(pool, filter, sort, page);
    const { edges, pageInfo } = toConnection(listed, page, ({ sortValues }) =>
      cursors.seal(scope, sortValues),
    );
    return {
      edges: edges.map(({ cursor, node }) => ({ cursor, node: node.movie })),
      pageInfo,
      total: () => countMovies(prisma, filter),
    };
  },

  genres: (_root, { first }, { loaders }) => loaders.genresByFirst.load(readPageSize(first, 'first')),

  search: (_root, { text, first }, { searchPool }) => {
    checkSearchText(text);
    return findHits(searchPool, text, readPageSize(first, 'first'));
  },

  person: (_root, { id }, { loaders }) => loaders.personById.load(id),
};
