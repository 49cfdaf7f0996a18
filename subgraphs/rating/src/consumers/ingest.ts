import { isUtf8 } from 'node:buffer';
import { decodeEvent } from '@cinegraph/events/event';
import { ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { aggregatedRatings, deadLettersOf, incomingRatings, movies, ratings } from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import type { Clock } from '@cinegraph/service/clock';
import type { ConsumerDefinition, DecodedMessage } from '@cinegraph/messaging/consumer/consumer';
import { createEnvelopeReader, isEnvelopeFault, type Envelope } from '@cinegraph/messaging/envelope';
import { eventDedupKey, recordDedupKey } from '@cinegraph/messaging/consumer/inbox';
import { findUnstorableText, isStorableText } from '@cinegraph/database/storable-text';
import { z } from 'zod';
import { applyEvents, type IncomingRating } from '../commands.js';
import {
  externalViewerPrefix,
  isExternalFault,
  looksExternal,
  readExternalEvent,
  type EventRules,
} from '../foreign-event.js';

/** What ingest has to be told. */
export interface IngestSettings {
  /** The graph's secret; without it (never in production) signatures are not looked at. */
  readonly secret: string | undefined;
  /** The top score of foreign events; without it they become dead letters. */
  readonly scale: EventRules['scale'] | undefined;
  /** Put before the record id of a foreign event that has no colon. */
  readonly idPrefix: string;
}

/** What ingest reads of the environment: it is never guessed what the top score of others is. */
export const ingestVariables = {
  INGEST_SCALE: z.enum(['5', '10'], 'must be 5 or 10, the top score of foreign events').optional(),
  INGEST_ID_PREFIX: z
    .string()
    .max(40, 'must have at most 40 characters')
    .refine(isStorableText, 'must be text that can be stored')
    .default(''),
};

/** The settings that these variables and the graph's secret give. */
export const readIngestSettings = (
  { INGEST_SCALE, INGEST_ID_PREFIX }: z.output<z.ZodObject<typeof ingestVariables>>,
  secret: string | undefined,
): IngestSettings => ({
  secret,
  scale: INGEST_SCALE === undefined ? undefined : INGEST_SCALE === '5' ? 5 : 10,
  idPrefix: INGEST_ID_PREFIX,
});

/** A review of ten thousand characters, all of them escaped, and what is around it. */
const maxBytes = 128 * 1024;

/** Words that no outside producer may be called by: who publishes on our topics, and the prefix of foreign users. */
const ownProducers: ReadonlySet<string> = new Set([
  ...[movies, ratings, aggregatedRatings].map(({ name }) => name.split('.')[0] ?? name),
  externalViewerPrefix.slice(0, -1),
  // Whose viewers files have brought.
  ...['movielens', 'sample'],
]);

/** Whether a producer is an outside one, with ratings of its own viewers `<producer>:<user>`. */
export const isOutsideProducer = (producer: string): boolean => !ownProducers.has(producer);

/**
 * Ratings of others, by the topic `ratings`: two foreign dialects, which trust whoever may write to the topic and are put in
 * order by the broker (append time, partition, offset), and our own envelope, where a producer signs for its own viewers
 * `<producer>:<user>` and gives each rating a version. Nobody here writes a rating of one of our accounts. Ratings of movies
 * that are not known yet are kept and count.
 */
export const createIngest = (
  { clock }: { readonly clock: Clock },
  settings: IngestSettings,
): ConsumerDefinition<IncomingRating> => {
  const readEnvelope = createEnvelopeReader(settings.secret);
  return {
    name: 'ingest',
    topics: [incomingRatings.name],
    deadLetterTopic: () => deadLettersOf(incomingRatings).name,
    decode: (message) => {
      const value = parse(message.value);
      if ('code' in value) return { dedupKey: recordDedupKey(message), ...value };
      if (looksExternal(value.json)) return decodeExternal(message, value.json, settings);
      const envelope = readEnvelope(message);
      return isEnvelopeFault(envelope)
        ? { dedupKey: recordDedupKey(message), ...envelope }
        : decodeOwn(envelope);
    },
    handle: (tx, events) => applyEvents(tx, events, clock.now()),
  };
};

const parse = (value: Buffer | null): { readonly json: unknown } | { code: string; reason: string } => {
  if (value === null) return { code: 'NOT_AN_EVENT', reason: 'it has no value' };
  if (value.length > maxBytes) {
    const reason = `it has ${value.length} bytes, and no rating has more than ${maxBytes}`;
    return { code: 'MESSAGE_TOO_LARGE', reason };
  }
  if (!isUtf8(value)) return { code: 'NOT_AN_EVENT', reason: 'it is not UTF-8' };
  try {
    return { json: JSON.parse(value.toString('utf8')) as unknown };
  } catch {
    return { code: 'NOT_AN_EVENT', reason: 'it is not JSON' };
  }
};

const decodeExternal = (
  message: IncomingMessage,
  json: unknown,
  { scale, idPrefix }: IngestSettings,
): DecodedMessage<IncomingRating> => {
  const dedupKey = recordDedupKey(message);
  const { appendedAt, partition, offset } = message;
  if (scale === undefined) {
    const reason =
      'What the top score of foreign events is, is not known. Set INGEST_SCALE to 5 or 10 and start again, then replay this.';
    return { dedupKey, code: 'SCALE_UNKNOWN', reason };
  }
  const read = readExternalEvent(json, { scale, idPrefix });
  if (isExternalFault(read)) return { dedupKey, ...read };
  return {
    dedupKey,
    event: { ...read, review: null, order: { appendedAt, partition, offset }, trace: null },
  };
};

/** Reads a signed envelope: known again by its id, which only its producer can use. */
const decodeOwn = (envelope: Envelope): DecodedMessage<IncomingRating> => {
  const dedupKey = eventDedupKey(envelope);
  const { producer } = envelope;
  const trace = envelope.trace !== undefined && isStorableText(envelope.trace) ? envelope.trace : null;
  const decoded = decodeEvent(envelope, [ratingSubmitted, ratingRetracted]);
  if ('code' in decoded) return { dedupKey, code: decoded.code, reason: decoded.reason };
  const unstorable = findUnstorableText(decoded.data, 'data');
  if (unstorable !== undefined) {
    const reason = `${unstorable} holds U+0000 or half a surrogate pair, which cannot be stored`;
    return { dedupKey, code: 'INVALID_EVENT', reason };
  }
  const { movieId, viewerId, version } = decoded.data;
  const prefix = `${producer}:`;
  if (!isOutsideProducer(producer) || !viewerId.startsWith(prefix) || viewerId.length === prefix.length) {
    const reason = isOutsideProducer(producer)
      ? `${producer} may only speak for viewers that are called ${prefix}<user>`
      : `${producer} is no outside producer and may not write ratings`;
    return { dedupKey, code: 'FOREIGN_VIEWER', reason };
  }
  const { score, review } = 'score' in decoded.data ? decoded.data : { score: null, review: null };
  return { dedupKey, event: { movieId, viewerId, score, review, order: { version }, trace }, trace };
};
