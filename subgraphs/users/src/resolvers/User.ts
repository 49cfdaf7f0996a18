import { referredId } from '@cinegraph/subgraph/reference';
import type { UserResolvers } from '../generated/resolvers.js';

export const User: UserResolvers = {
  __resolveReference: ({ id }: { readonly __typename: string; readonly id?: unknown }, { loaders }) =>
    loaders.userById.load(referredId(id)),
};
