import { decodeEvent } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted } from '@cinegraph/events/metadata';
import { deadLettersOf, movies } from '@cinegraph/events/topics';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { createEnvelopeReader, isEnvelopeFault } from '@cinegraph/messaging/envelope';
import { eventDedupKey, recordDedupKey } from '@cinegraph/messaging/consumer/inbox';
import { putKnownMovies } from '../known-movies.js';

/** What an event says of a movie. */
interface KnownMovie {
  readonly movie: string;
  readonly version: number;
  readonly deleted: boolean;
}

const definitions = [movieCreated, movieChanged, movieDeleted] as const;

/** Who alone may speak of movies. */
const owner = 'metadata';

/**
 * Which movies there are and which are deleted, as metadata tells it: a state, of which an older version than known is
 * ignored. Types that are not known here are left out, as metadata may publish new ones; a version that is not known yet of
 * one that is becomes a dead letter, to be replayed by a rating that knows it.
 */
export const createKnownMovies = ({
  secret,
}: {
  /** The graph's secret; without it (never in production) signatures are not looked at. */
  readonly secret: string | undefined;
}): ConsumerDefinition<KnownMovie> => {
  const readEnvelope = createEnvelopeReader(secret);
  return {
    name: 'known-movies',
    topics: [movies.name],
    deadLetterTopic: () => deadLettersOf(movies).name,
    decode: (message) => {
      // Without a value it is the compaction's mark that a key is gone; movies are never.
      if (message.value === null) return null;
      const envelope = readEnvelope(message);
      if (isEnvelopeFault(envelope)) return { dedupKey: recordDedupKey(message), ...envelope };
      if (envelope.producer !== owner) {
        const reason = `only ${owner} may say what becomes of movies`;
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
      const newest = new Map<string, KnownMovie>();
      for (const event of events) {
        if ((newest.get(event.movie)?.version ?? 0) < event.version) newest.set(event.movie, event);
      }
      await tx.$executeRawUnsafe(putKnownMovies, JSON.stringify([...newest.values()]));
      return undefined;
    },
  };
};
