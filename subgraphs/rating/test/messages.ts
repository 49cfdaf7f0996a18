import { randomUUID } from 'node:crypto';
import { ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { incomingRatings } from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { createEnvelopeSigner, encodeEnvelope, producerKey } from '@cinegraph/messaging/envelope';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';

/** Creates a log with partitions, which assigns offsets and append times as a broker does. */
export const testLog = (topic: string = incomingRatings.name) => {
  const ends = new Map<number, bigint>();
  let time = Date.UTC(2026, 0, 1);
  /** Appends a value. `at` is its append time; by default a time after the last one. */
  return (
    value: unknown,
    {
      partition = 0,
      headers = {},
      at,
    }: { partition?: number; headers?: Record<string, string>; at?: Date } = {},
  ): IncomingMessage => {
    const offset = ends.get(partition) ?? 0n;
    ends.set(partition, offset + 1n);
    return {
      topic,
      partition,
      offset,
      appendedAt: at ?? new Date((time += 7)),
      key: null,
      value:
        value === null || Buffer.isBuffer(value)
          ? value
          : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
      headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
    };
  };
};

/** Returns an external event in the camelCase dialect; a null value deletes. */
export const externalEvent = (user: string | number, movie: string, value: number | null) => ({
  userId: user,
  recordId: movie,
  recordType: 'movie',
  ...(value !== null && { value }),
  providerId: 'test-provider',
  eventType: value === null ? 'delete' : 'put',
});

/** Returns the envelope of an event by an external producer; a null score retracts. */
export const envelopeOf = (
  rating: { movieId: string; viewerId: string; score: number | null; version: number; review?: string },
  { producer = 'cinema', id = randomUUID() }: { producer?: string; id?: string } = {},
) => {
  const { movieId, viewerId, score, version, review = null } = rating;
  const definition = score === null ? ratingRetracted : ratingSubmitted;
  return {
    id,
    type: definition.type,
    version: definition.version,
    key: movieId,
    occurredAt: '2026-01-01T00:00:00Z',
    producer,
    data: score === null ? { movieId, viewerId, version } : { movieId, viewerId, score, review, version },
  };
};

/** Returns the bytes of an envelope and its headers, signed by `signer` for `topic`. */
export const signed = (
  envelope: ReturnType<typeof envelopeOf> | Record<string, unknown>,
  { signer = String(envelope['producer' as keyof typeof envelope]), topic = incomingRatings.name } = {},
) => {
  const value = encodeEnvelope(envelope as unknown as Parameters<typeof encodeEnvelope>[0]);
  const headers = createEnvelopeSigner(producerKey(testSubgraphKey, signer))(topic, value);
  return [value, { headers: { ...headers } }] as const;
};
