import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
import { viewerIdOf } from '@cinegraph/service/viewer';
import type { QueryResolvers } from '../generated/resolvers.js';
import { countTopRated, findTopRated } from '../queries/aggregated-ratings.js';
import { findRatingsOfViewer } from '../queries/ratings.js';

export const Query: QueryResolvers = {
  topRated: async (_root, { first, after }, { prisma, cursors }) => {
    const scope = 'Query.topRated';
    const page = readPage({ first, after: after ?? null }, cursors, scope);
    const rows = await findTopRated(prisma, page);
    return {
      ...toConnection(rows, page, ({ weighted, id }) => cursors.seal(scope, [weighted, id])),
      total: () => countTopRated(prisma),
    };
  },

  myRatings: async (_root, { first, after, last, before }, context) => {
    const { prisma, loaders, cursors } = context;
    const viewerId = viewerIdOf(context);
    const scope = `Query.myRatings:${viewerId}`;
    const page = readPage(
      { first: first ?? null, after: after ?? null, last: last ?? null, before: before ?? null },
      cursors,
      scope,
    );
    const rows = await findRatingsOfViewer(prisma, viewerId, page);
    return {
      ...toConnection(rows, page, ({ createdAt, movieId }) =>
        cursors.seal(scope, [createdAt.toISOString(), movieId]),
      ),
      total: () => loaders.ratingCountByViewerId.load(viewerId),
    };
  },
};
