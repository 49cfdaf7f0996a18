import { isUtf8 } from 'node:buffer';
import { decodeEvent } from '@cinegraph/events/event';
import { ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import {
  accounts,
  aggregatedRatings,
  deadLettersOf,
  incomingRatings,
  movies,
  ratings,
} from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import type { Clock } from '@cinegraph/service/clock';
import type { ConsumerDefinition, DecodedMessage } from '@cinegraph/messaging/consumer/consumer';
import { createEnvelopeReader, isEnvelopeFault, type Envelope } from '@cinegraph/messaging/envelope';
import { eventDedupKey, recordDedupKey } from '@cinegraph/messaging/consumer/inbox';
import { findUnstorableText, isStorableText } from '@cinegraph/database/storable-text';
import { z } from 'zod';
import {
  externalViewerPrefix,
  isExternalFault,
  looksExternal,
  readExternalEvent,
  type EventRules,
} from './external-event.js';
import { isMovieId } from '../rules.js';
import { applyEvents, type IncomingRating } from '../write-ratings.js';

/** The name of the consumer of the topic `ratings`. */
export const ingestName = 'ingest';

/** The settings of ingest. */
export interface IngestSettings {
  /** The secret of the graph. Without it (never in production) signatures are not checked. */
  readonly secret: string | undefined;
  /** The highest score of external events. While it is undefined, they become dead letters. */
  readonly scale: EventRules['scale'] | undefined;
  /** Put before the record id of an external event if it has no colon. */
  readonly idPrefix: string;
}

/** The variables that ingest reads. The highest score of a source is never guessed. */
export const ingestVariables = {
  INGEST_SCALE: z.enum(['5', '10'], 'must be 5 or 10, the top score of external events').optional(),
  INGEST_ID_PREFIX: z
    .string()
    .max(40, 'must have at most 40 characters')
    .refine(isStorableText, 'must be text that can be stored')
    .default(''),
};

/** Returns the settings of ingest from its variables and the secret of the graph. */
export const readIngestSettings = (
  { INGEST_SCALE, INGEST_ID_PREFIX }: z.output<z.ZodObject<typeof ingestVariables>>,
  secret: string | undefined,
): IngestSettings => ({
  secret,
  scale: INGEST_SCALE === undefined ? undefined : INGEST_SCALE === '5' ? 5 : 10,
  idPrefix: INGEST_ID_PREFIX,
});

/**
 * The maximum size of a message: a review of ten thousand characters, all escaped, and the envelope around
 * it.
 */
const maxBytes = 128 * 1024;

/** Names that no external producer may have: producers of our topics, and prefixes of viewers. */
const reservedProducers: ReadonlySet<string> = new Set([
  ...[movies, ratings, aggregatedRatings, accounts].map(({ name }) => name.split('.')[0] ?? name),
  externalViewerPrefix.slice(0, -1),
  // The viewers of imported files have these prefixes.
  ...['movielens', 'sample'],
]);

/**
 * Returns whether a producer is external. It may then publish ratings of viewers that are named
 * `<producer>:<user>`.
 */
export const isExternalProducer = (producer: string): boolean => !reservedProducers.has(producer);

/**
 * Defines the consumer of the topic `ratings`, on which external producers publish ratings. An event is in
 * one of two external dialects or in a signed envelope. The dialects have no signature: every producer that
 * may write to the topic is trusted with them, and their order is that of the broker (append time, partition,
 * offset). In an envelope, a producer signs for its viewers `<producer>:<user>` and gives each rating a
 * version. No event can write a rating of one of our accounts. A rating of a movie that is not known yet is
 * stored, and counts once the movie comes.
 */
export const createIngest = (
  { clock }: { readonly clock: Clock },
  settings: IngestSettings,
): ConsumerDefinition<IncomingRating> => {
  const readEnvelope = createEnvelopeReader(settings.secret);
  return {
    name: ingestName,
    topics: [incomingRatings.name],
    deadLetterTopic: () => deadLettersOf(incomingRatings).name,
    settings: {
      INGEST_SCALE: settings.scale?.toString(),
      INGEST_ID_PREFIX: settings.idPrefix,
    } satisfies Record<keyof typeof ingestVariables, string | undefined>,
    decode: (message) => {
      const value = parse(message.value);
      if ('code' in value) return { dedupKey: recordDedupKey(message), ...value };
      if (looksExternal(value.json)) return decodeExternal(message, value.json, settings);
      const envelope = readEnvelope(message);
      return isEnvelopeFault(envelope)
        ? { dedupKey: recordDedupKey(message), ...envelope }
        : decodeEnvelope(envelope);
    },
    handle: (tx, events) => applyEvents(tx, events, clock.now()),
  };
};

const parse = (value: Buffer | null): { readonly json: unknown } | { code: string; reason: string } => {
  if (value === null) return { code: 'NOT_AN_EVENT', reason: 'it has no value' };
  if (value.length > maxBytes) {
    const reason = `it has ${value.length} bytes, but a rating has at most ${maxBytes}`;
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
      'The top score of external events is not configured. Set INGEST_SCALE to 5 or 10 and start again, then replay this.';
    return { dedupKey, code: 'SCALE_UNKNOWN', reason };
  }
  const read = readExternalEvent(json, { scale, idPrefix });
  if (isExternalFault(read)) return { dedupKey, ...read };
  return {
    dedupKey,
    event: { ...read, review: null, order: { appendedAt, partition, offset }, trace: null },
  };
};

/** Decodes a signed envelope. Its deduplication key is its id, which only its producer can use. */
const decodeEnvelope = (envelope: Envelope): DecodedMessage<IncomingRating> => {
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
  if (!isMovieId(movieId))
    return { dedupKey, code: 'INVALID_EVENT', reason: 'data.movieId is no id of a movie' };
  const prefix = `${producer}:`;
  if (!isExternalProducer(producer) || !viewerId.startsWith(prefix) || viewerId.length === prefix.length) {
    const reason = isExternalProducer(producer)
      ? `${producer} may only publish ratings of viewers that are named ${prefix}<user>`
      : `${producer} is not an external producer and may not publish ratings here`;
    return { dedupKey, code: 'FOREIGN_VIEWER', reason };
  }
  const { score, review } = 'score' in decoded.data ? decoded.data : { score: null, review: null };
  return {
    dedupKey,
    event: { movieId, viewerId, score, review, provider: null, order: { version }, trace },
    trace,
  };
};
