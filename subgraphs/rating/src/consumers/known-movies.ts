import { decodeEvent } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted } from '@cinegraph/events/metadata';
import { deadLettersOf, movies } from '@cinegraph/events/topics';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { createEnvelopeReader, isEnvelopeFault } from '@cinegraph/messaging/envelope';
import { eventDedupKey, recordDedupKey } from '@cinegraph/messaging/consumer/inbox';
import { writeKnownMovies, type KnownMovie } from '../write-known-movies.js';

const definitions = [movieCreated, movieChanged, movieDeleted] as const;

/** The only producer that may publish events of movies. */
const owner = 'metadata';

/**
 * Defines the consumer of metadata's topic of movies. It stores which movies exist and which are deleted,
 * and ignores an older version than the stored one. Ratings that came before their movie show from then on.
 * Event types that this release does not know are skipped, because metadata may add types. An unknown
 * version of a known type becomes a dead letter, which a later release can replay.
 */
export const createKnownMovies = ({
  secret,
}: {
  /** The secret of the graph. Without it (never in production) signatures are not checked. */
  readonly secret: string | undefined;
}): ConsumerDefinition<KnownMovie> => {
  const readEnvelope = createEnvelopeReader(secret);
  return {
    name: 'known-movies',
    topics: [movies.name],
    deadLetterTopic: () => deadLettersOf(movies).name,
    decode: (message) => {
      // A tombstone of the compacted topic: movies are never removed, so that there is nothing to do.
      if (message.value === null) return null;
      const envelope = readEnvelope(message);
      if (isEnvelopeFault(envelope)) return { dedupKey: recordDedupKey(message), ...envelope };
      if (envelope.producer !== owner) {
        const reason = `only ${owner} may publish events of movies`;
        return { dedupKey: recordDedupKey(message), code: 'FORGED_EVENT', reason };
      }
      const decoded = decodeEvent(envelope, definitions);
      if ('code' in decoded) {
        if (!definitions.some(({ type }) => type === envelope.type)) return null;
        return { dedupKey: eventDedupKey(envelope), code: decoded.code, reason: decoded.reason };
      }
      const { movieId, version } = decoded.data;
      return {
        dedupKey: eventDedupKey(envelope),
        event: { movie: movieId, version, deleted: decoded.of === movieDeleted },
        trace: envelope.trace ?? null,
      };
    },
    handle: async (tx, events) => {
      await writeKnownMovies(tx, events);
      return undefined;
    },
  };
};
