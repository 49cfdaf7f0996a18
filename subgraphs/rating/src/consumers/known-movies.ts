import { movieChanged, movieCreated, movieDeleted, movieJoined } from '@cinegraph/events/metadata';
import { createEventReader } from '@cinegraph/events/reader';
import { deadLettersOf, movies } from '@cinegraph/events/topics';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { eventDedupKey, recordDedupKey } from '@cinegraph/messaging/consumer/inbox';
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
    decode: (message) => {
      const event = read(message);
      if (event === null) return null;
      const dedupKey = event.envelope ? eventDedupKey(event.envelope) : recordDedupKey(message);
      if ('code' in event) return { dedupKey, code: event.code, reason: event.reason };
      const { movieId, version } = event.data;
      return {
        dedupKey,
        event: {
          ...{ movie: movieId, version, deleted: event.of === movieDeleted },
          joinedInto: 'into' in event.data ? event.data.into : null,
        },
        trace: event.envelope.trace ?? null,
      };
    },
    handle: async (tx, events) => {
      await writeKnownMovies(tx, events);
      return undefined;
    },
    ...(committed && { committed }),
  };
};
