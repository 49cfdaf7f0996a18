import { Refusal } from '@cinegraph/service/refusal';
import type { Context } from '../context.js';
import type { RatingResolvers } from '../generated/resolvers.js';
import type { RatingKey } from '../models.js';
import { isUserId } from '../rules.js';

const idPrefix = 'rating:';
const idScope = 'Rating.id';

export const Rating: RatingResolvers = {
  __resolveReference: async ({ id }: { readonly __typename: string; readonly id?: unknown }, context) => {
    const key = readId(id, context);
    return key && context.loaders.ratingByKey.load(key);
  },

  id: ({ movieId, viewerId }, _arguments, { cursors }) =>
    `${idPrefix}${cursors.seal(idScope, [movieId, viewerId])}`,

  movie: async ({ movieId }, _arguments, { loaders }) =>
    (await loaders.isKnownMovie.load(movieId)) ? { id: movieId } : null,

  user: ({ viewerId }) => (isUserId(viewerId) ? { id: viewerId } : null),
};

/** Returns the movie and the viewer of an id, or null if no rating can have it. */
const readId = (id: unknown, { cursors }: Context): RatingKey | null => {
  if (typeof id !== 'string' || !id.startsWith(idPrefix)) return null;
  try {
    const [movieId, viewerId] = cursors.open(idScope, id.slice(idPrefix.length), 'id');
    return { movieId: String(movieId), viewerId: String(viewerId) };
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
};
