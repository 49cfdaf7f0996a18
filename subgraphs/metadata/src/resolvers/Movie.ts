import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
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

  credits: async (movie, { role = null, first, after = null }, { loaders, cursors }) => {
    const { id } = movie;
    const scope = `Movie.credits:${JSON.stringify([id, role])}`;
    const page = readPage({ first, after }, cursors, scope);
    const rows = await loaders.creditPageByMovie.load({ movieId: id, role, ...page });
    const { edges, pageInfo } = toConnection(rows, page, (credit) =>
      cursors.seal(scope, [credit.role, credit.position]),
    );
    const roles = role === null ? (['DIRECTOR', 'ACTOR'] as const) : [role];
    return {
      edges: edges.map((edge) => ({
        node: { ...edge.node, movie },
        get cursor() {
          return edge.cursor;
        },
      })),
      pageInfo,
      total: async () => {
        const counts = roles.map((each) => loaders.creditCountByMovie.load({ movieId: id, role: each }));
        return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
      },
    };
  },

  externalIds: ({ id, lists }, _arguments, { loaders }) =>
    lists?.externalIds ?? loaders.externalIdsByMovieId.load(id),

  externalRatings: ({ id, lists }, _arguments, { loaders }) =>
    lists?.externalRatings ?? loaders.externalRatingsByMovieId.load(id),
};
