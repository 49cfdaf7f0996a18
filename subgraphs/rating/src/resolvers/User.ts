import { readPage, toConnection } from '@cinegraph/subgraph/pagination';
import { referredId } from '@cinegraph/subgraph/reference';
import type { UserResolvers } from '../generated/resolvers.js';

export const User: UserResolvers = {
  __resolveReference: ({ id }) => ({ id: referredId(id) }),

  ratings: async ({ id }, { first, after }, { loaders, cursors }) => {
    const scope = `User.ratings:${id}`;
    const page = readPage({ first, after: after ?? null }, cursors, scope);
    const rows = await loaders.ratingsByViewer.load({ viewerId: id, ...page });
    return {
      ...toConnection(rows, page, ({ createdAt, movieId }) =>
        cursors.seal(scope, [createdAt.toISOString(), movieId]),
      ),
      total: () => loaders.ratingCountByViewerId.load(id),
    };
  },
};
