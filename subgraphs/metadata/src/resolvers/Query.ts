import { readPage, readPageSize, toConnection } from '@cinegraph/subgraph/pagination';
import type { QueryResolvers } from '../generated/resolvers.js';
import { countMovies, findMovieList, movieListScope } from '../queries/movie-list.js';
import { findHits } from '../queries/search.js';
import type { Loaders } from '../loaders.js';
import type { NodeModel } from '../models.js';
import { checkMovieFilter, checkNodeIds, checkSearchText } from '../rules.js';

export const Query: QueryResolvers = {
  movie: (_root, { id }, { loaders }) => loaders.movieById.load(id),

  movieByExternalId: async (_root, key, { loaders }) => {
    const id = await loaders.movieIdByExternalId.load(key);
    return id === null ? null : loaders.movieById.load(id);
  },

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

  genre: (_root, { id }, { loaders }) => loaders.genreById.load(id),

  search: (_root, { text, first }, { searchPool }) => {
    checkSearchText(text);
    return findHits(searchPool, text, readPageSize(first, 'first'));
  },

  person: (_root, { id }, { loaders }) => loaders.personById.load(id),

  node: (_root, { id }, { loaders }) => findNode(loaders, id),

  nodes: async (_root, { ids }, { loaders }) => {
    checkNodeIds(ids);
    return Promise.all(ids.map((id) => findNode(loaders, id)));
  },
};

/** Returns the object of an id: a reference to a rating, or a movie, else a person, else a genre, or null. */
const findNode = async (loaders: Loaders, id: string): Promise<NodeModel | null> => {
  if (id.startsWith('rating:')) return { __typename: 'Rating', id };
  const [movie, person, genre] = await Promise.all([
    loaders.movieById.load(id),
    loaders.personById.load(id),
    loaders.genreById.load(id),
  ]);
  if (movie) return { __typename: 'Movie', ...movie };
  if (person) return { __typename: 'Person', ...person };
  return genre && { __typename: 'Genre', ...genre };
};
