import { movieChanged, movieCreated, movieDeleted, movieJoined } from '@cinegraph/events/metadata';
import { createEventReader } from '@cinegraph/events/reader';
import { deadLettersOf, movies } from '@cinegraph/events/topics';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { decodeEvents } from '@cinegraph/messaging/consumer/decode-events';
import { writeKnownMovies, type KnownMovie } from '../write-known-movies.js';

/**
 * Defines the consumer of metadata's topic of movies. It stores which movies exist, are deleted, or are
 * joined, and ignores an older version than the stored one. Ratings that came before their movie show from
 * then on. Event types that this release does not know are skipped, because metadata may add types. An
 * unknown version of a known type becomes a dead letter, which a later release can replay.
 */
export const createKnownMovies = ({
  secret,
  committed,
}: {
  /** The secret of the graph. Without it (never in production) signatures are not checked. */
  readonly secret: string | undefined;
  /** Called when votes may have to move. */
  readonly committed?: () => void;
}): ConsumerDefinition<KnownMovie> => {
  const read = createEventReader({
    secret,
    owner: 'metadata',
    definitions: [movieCreated, movieChanged, movieDeleted, movieJoined],
  });
  return {
    name: 'known-movies',
    topics: [movies.name],
    deadLetterTopic: () => deadLettersOf(movies).name,
    decode: decodeEvents(read, ({ of, data }) => ({
      ...{ movie: data.movieId, version: data.version, deleted: of === movieDeleted },
      joinedInto: 'into' in data ? data.into : null,
    })),
    handle: async (tx, events) => {
      await writeKnownMovies(tx, events);
      return undefined;
    },
    ...(committed && { committed }),
  };
};
