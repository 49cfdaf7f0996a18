import { z } from 'zod';
import { deriveKey, isMac, mac } from '@cinegraph/service/hmac';

/**
 * A topic. Ours are named `<owner>.<stream>.v<major>`; a topic of an outside producer has any name. Messages
 * of one key stay in order.
 */
export interface TopicDefinition {
  readonly name: string;
  /**
   * How long the broker keeps the topic's events: `time` keeps all of them for seven days; `compact` keeps
   * the newest event of each key, if the broker can compact, and older ones for seven days.
   */
  readonly retention: 'time' | 'compact';
  /** The size of the largest message that the topic accepts, in bytes; 1,048,576 by default. */
  readonly maxMessageBytes?: number;
}

/** An event as it is published: the JSON value of a message, which has the signature in a header. */
export interface Envelope {
  /** A UUID by which a consumer recognizes a redelivered event. */
  readonly id: string;
  /** A verb in the past tense, e.g. `MovieCreated`. */
  readonly type: string;
  /** The version of the type's schema, from 1. */
  readonly version: number;
  /** The id whose events stay in order; also the message's key. */
  readonly key: string;
  /** RFC 3339, by the clock of the producer's database. Informational; nothing is ordered by it. */
  readonly occurredAt: string;
  /** The subgraph or the outside source that produced the event: one word. */
  readonly producer: string;
  /** The W3C `traceparent` of the request that caused the event, if there was one. */
  readonly trace?: string | undefined;
  /** Conforms to the schema of the type and version. */
  readonly data: unknown;
}

/** Why a message is not a valid event: a stable code and a reason for people. */
export interface EnvelopeFault {
  readonly code: 'NOT_AN_EVENT' | 'UNSIGNED_EVENT' | 'FORGED_EVENT';
  readonly reason: string;
}

/** The header that carries the signature. */
export const signatureHeader = 'signature';

/** The pattern of producers' names. */
export const producerPattern = /^[a-z][a-z0-9-]{0,39}$/;

/** The schema of an envelope. */
export const envelopeSchema = z.object({
  id: z.uuid(),
  type: z.string().min(1).max(100),
  version: z.int().min(1).max(1_000),
  key: z.string().min(1).max(400),
  occurredAt: z.iso.datetime({ offset: true }),
  producer: z.string().regex(producerPattern),
  trace: z.string().max(100).optional(),
  data: z.unknown(),
});

/**
 * Returns the key with which a producer signs. It is derived from the graph's secret, so that the key of one
 * producer cannot sign for another. An outside producer gets it as base64url.
 */
export const producerKey = (secret: string, producer: string): Buffer =>
  deriveKey(secret, `events:${producer}`);

/** Creates a function that signs a message and returns its headers. Without a key it returns none. */
export const createEnvelopeSigner =
  (key: Buffer | undefined) =>
  (topic: string, value: Buffer): Readonly<Record<string, string>> =>
    key === undefined ? {} : { [signatureHeader]: mac(key, signedText(topic, value)) };

/** Encodes an envelope as JSON. */
export const encodeEnvelope = (envelope: Envelope): Buffer => Buffer.from(JSON.stringify(envelope));

/**
 * Creates a function that decodes a message as an envelope, or returns the fault: it does not match the
 * schema, or is not signed for this topic with the key of the producer that it names. Without a secret (never
 * in production) signatures are not checked.
 */
export const createEnvelopeReader = (secret: string | undefined) => {
  const keys = new Map<string, Buffer>();
  const keyOf = (graphSecret: string, producer: string): Buffer => {
    let key = keys.get(producer);
    if (key === undefined) {
      key = producerKey(graphSecret, producer);
      // Outside producers choose the names, so the cache is bounded.
      if (keys.size < 1_000) keys.set(producer, key);
    }
    return key;
  };
  return (message: {
    readonly topic: string;
    readonly value: Buffer | null;
    readonly headers: Readonly<Record<string, Buffer>>;
  }): Envelope | EnvelopeFault => {
    const { topic, value, headers } = message;
    const parsed = envelopeSchema.safeParse(parseJson(value));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue?.path.join('.');
      return {
        code: 'NOT_AN_EVENT',
        reason: where ? `its ${where} is missing or not what it must be` : 'it is no JSON object',
      };
    }
    const envelope = parsed.data;
    if (secret === undefined || value === null) return envelope;
    const signature = headers[signatureHeader]?.toString('latin1');
    if (signature === undefined) return { code: 'UNSIGNED_EVENT', reason: 'it has no signature' };
    return isMac(keyOf(secret, envelope.producer), signedText(topic, value), signature)
      ? envelope
      : { code: 'FORGED_EVENT', reason: `it is not signed by the producer that it names for this topic` };
  };
};

/** Returns whether decoding a message ended with a fault. */
export const isEnvelopeFault = (read: Envelope | EnvelopeFault): read is EnvelopeFault => 'code' in read;

const signedText = (topic: string, value: Buffer): string => `${topic}\n${value.toString('base64')}`;

const parseJson = (value: Buffer | null): unknown => {
  if (value === null) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  } catch {
    return undefined;
  }
};
