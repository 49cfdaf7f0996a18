import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
import { referredId } from '@cinegraph/subgraph/reference';
import { viewerIdOf } from '@cinegraph/service/viewer';
import type { MovieResolvers } from '../generated/resolvers.js';

export const Movie: MovieResolvers = {
  __resolveReference: ({ id }) => ({ id: referredId(id) }),

  aggregatedRating: (movie, _arguments, { loaders }) =>
    movie.aggregatedRating ?? loaders.aggregatedRatingByMovieId.load(movie.id),

  ratingsByProvider: async ({ id }, _arguments, { loaders }) =>
    (await loaders.isKnownMovie.load(id)) ? loaders.providersByMovieId.load(id) : [],

  ratings: async ({ id }, { first, after }, { loaders, cursors }) => {
    const scope = `Movie.ratings:${id}`;
    const page = readPage({ first, after: after ?? null }, cursors, scope);
    const rows = await loaders.ratingsByMovie.load({ movieId: id, ...page });
    return {
      ...toConnection(rows, page, ({ createdAt, viewerId }) =>
        cursors.seal(scope, [createdAt.toISOString(), viewerId]),
      ),
      total: async () => (await loaders.aggregatedRatingByMovieId.load(id)).count,
    };
  },

  myRating: ({ id }, _arguments, context) =>
    context.loaders.ratingByKey.load({ movieId: id, viewerId: viewerIdOf(context) }),
};
