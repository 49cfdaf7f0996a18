import { randomUUID } from 'node:crypto';
import { ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { incomingRatings } from '@cinegraph/events/topics';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import {
  createEnvelopeSigner,
  encodeEnvelope,
  producerKey,
  type Envelope,
} from '@cinegraph/messaging/envelope';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import type { FaultRandom } from './support.js';

/** A rating event as the oracle counts it. A null score retracts the rating. */
export interface SentRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
}

/** A rating event in our own envelope, with its version among those of its viewer and movie. */
export type VersionedRating = SentRating & { readonly version: number };

const externalPrefix = 'ratings:';

/** Returns random ratings of `movies` movies by `viewers` external viewers. A tenth of them is retracted. */
export const randomRatings = (
  random: FaultRandom,
  { of, count, movies, viewers }: { of: string; count: number; movies: number; viewers: number },
): SentRating[] =>
  Array.from({ length: count }, () => ({
    movieId: `${of}:${random.int(movies)}`,
    viewerId: `${externalPrefix}${random.int(viewers)}`,
    score: random.percent(10) ? null : 1 + random.int(10),
  }));

/** Returns the same with versions, by viewers of the producer `cinema`. */
export const randomVersions = (
  random: FaultRandom,
  options: { of: string; count: number; movies: number; viewers: number },
): VersionedRating[] => {
  const versions = new Map<string, number>();
  return randomRatings(random, options).map((rating) => {
    const viewerId = rating.viewerId.replace(externalPrefix, 'cinema:');
    const key = `${rating.movieId}\n${viewerId}`;
    const version = (versions.get(key) ?? 0) + 1;
    versions.set(key, version);
    return { ...rating, viewerId, version };
  });
};

/** Returns a message with any value for the topic `ratings`. */
export const messageOf = (
  value: unknown,
  { key = null, headers = {} }: { key?: string | null; headers?: Readonly<Record<string, string>> } = {},
): OutgoingMessage => ({
  topic: incomingRatings.name,
  key,
  value: value === null || Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)),
  headers,
});

/** Returns a rating in the camelCase dialect. */
export const externalValue = ({ movieId, viewerId, score }: SentRating) => ({
  userId: viewerId.slice(externalPrefix.length),
  recordId: movieId,
  recordType: 'movie',
  ...(score !== null && { value: score }),
  providerId: 'test-provider',
  eventType: score === null ? 'delete' : 'put',
});

/** Returns a message in the camelCase dialect, by default with its movie as key. */
export const externalMessage = (rating: SentRating, key: string | null = rating.movieId): OutgoingMessage =>
  messageOf(externalValue(rating), { key });

/** Returns a message in our own envelope, by default signed by the producer that it names. */
export const ownMessage = (
  { movieId, viewerId, score, version }: VersionedRating,
  {
    id = randomUUID(),
    occurredAt = new Date(),
    producer = 'cinema',
    signer = producer,
    review = null,
  }: {
    id?: string;
    occurredAt?: Date;
    producer?: string;
    signer?: string | null;
    review?: string | null;
  } = {},
): OutgoingMessage => {
  const definition = score === null ? ratingRetracted : ratingSubmitted;
  const envelope: Envelope = {
    id,
    type: definition.type,
    version: definition.version,
    key: movieId,
    occurredAt: occurredAt.toISOString(),
    producer,
    data: score === null ? { movieId, viewerId, version } : { movieId, viewerId, score, review, version },
  };
  const value = encodeEnvelope(envelope);
  const headers =
    signer === null
      ? {}
      : createEnvelopeSigner(producerKey(testSubgraphKey, signer))(incomingRatings.name, value);
  return messageOf(value, { key: movieId, headers });
};

/** A message that the consumer must reject. */
export interface Poison {
  readonly message: OutgoingMessage;
  readonly code: string;
}

const fine: VersionedRating = { movieId: 'f11:poisoned', viewerId: 'cinema:bad', score: 5, version: 1 };
const fineExternal = externalValue({ ...fine, viewerId: 'ratings:bad' });
const externalWith = (change: Record<string, unknown>) => messageOf({ ...fineExternal, ...change });

/** Returns one message of each invalid kind. Movie `f11:deleted` must be known as deleted. */
export const poisons = (): readonly Poison[] => [
  { message: messageOf(null), code: 'NOT_AN_EVENT' },
  { message: messageOf(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])), code: 'NOT_AN_EVENT' },
  { message: messageOf(Buffer.from('{"userId":')), code: 'NOT_AN_EVENT' },
  { message: messageOf([fineExternal]), code: 'NOT_AN_EVENT' },
  { message: externalWith({ recordId: undefined }), code: 'NOT_AN_EVENT' },
  { message: externalWith({ value: '7' }), code: 'NOT_AN_EVENT' },
  { message: externalWith({ userId: 'a\u0000b' }), code: 'NOT_AN_EVENT' },
  ...[11, -5, 94].map((value) => ({ message: externalWith({ value }), code: 'RATING_OUT_OF_RANGE' })),
  { message: externalWith({ recordType: 'series' }), code: 'UNSUPPORTED_RECORD_TYPE' },
  { message: externalWith({ eventType: 'burn' }), code: 'UNSUPPORTED_EVENT_TYPE' },
  { message: ownMessage(fine, { signer: 'stranger' }), code: 'FORGED_EVENT' },
  { message: ownMessage(fine, { signer: null }), code: 'UNSIGNED_EVENT' },
  { message: ownMessage({ ...fine, viewerId: 'ann' }), code: 'FOREIGN_VIEWER' },
  { message: ownMessage(fine, { review: 'a\u0000b' }), code: 'INVALID_EVENT' },
  { message: messageOf(Buffer.alloc(1_000_000, 'x')), code: 'MESSAGE_TOO_LARGE' },
  {
    message: externalMessage({ movieId: 'f11:deleted', viewerId: 'ratings:late', score: 9 }),
    code: 'MOVIE_DELETED',
  },
];
