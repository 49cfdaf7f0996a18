import { z } from 'zod';
import { deriveKey, isMac, mac } from '@cinegraph/service/hmac';

/** A topic as it has to be: `<owner>.<stream>.v<major>`, or one that others named. Messages of one key stay in order. */
export interface TopicDefinition {
  readonly name: string;
  /**
   * How long the broker keeps the topic's events: `time` keeps all of them for seven days; `compact` keeps the newest
   * event of each key, where the broker can compact, and older ones for seven days.
   */
  readonly retention: 'time' | 'compact';
  /** The largest message it takes, in bytes; 1,048,576 unless told. */
  readonly maxMessageBytes?: number;
}

/** An event of ours as it travels: the JSON value of a message, with a signature in the header of that name. */
export interface Envelope {
  /** By which the same event is known again: a UUID. */
  readonly id: string;
  /** Past tense, e.g. `OrderPlaced`. */
  readonly type: string;
  /** The version of the type's schema, from 1. */
  readonly version: number;
  /** The id whose events stay in order; also the message's key. */
  readonly key: string;
  /** RFC 3339, of the producer's database. It decides nothing. */
  readonly occurredAt: string;
  /** One word: the subgraph, or the outside source, that says so. */
  readonly producer: string;
  /** The W3C `traceparent` of the request that led to it, where there was one. */
  readonly trace?: string | undefined;
  /** By the schema of type and version. */
  readonly data: unknown;
}

/** What keeps a message from being an event: a stable code and a reason for people. */
export interface EnvelopeFault {
  readonly code: 'NOT_AN_EVENT' | 'UNSIGNED_EVENT' | 'FORGED_EVENT';
  readonly reason: string;
}

/** The header that carries the signature. */
export const signatureHeader = 'signature';

/** One word, as producers are called. */
export const producerPattern = /^[a-z][a-z0-9-]{0,39}$/;

/** The shape of an envelope, for those who describe it. */
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
 * The key with which a producer signs, derived from the graph's secret, so that a producer who has its own key can sign
 * for nobody else. Written as base64url where it is handed to an outside producer.
 */
export const producerKey = (secret: string, producer: string): Buffer =>
  deriveKey(secret, `events:${producer}`);

/** Signs messages of one producer; what it answers is the message's headers. Without a key, none. */
export const createEnvelopeSigner =
  (key: Buffer | undefined) =>
  (topic: string, value: Buffer): Readonly<Record<string, string>> =>
    key === undefined ? {} : { [signatureHeader]: mac(key, signedText(topic, value)) };

/** The bytes of an envelope. */
export const encodeEnvelope = (envelope: Envelope): Buffer => Buffer.from(JSON.stringify(envelope));

/**
 * Reads messages as envelopes, or says why one is none: no JSON of the shape, or not signed for this topic with the key of
 * the producer that it names. Without a secret (never in production) signatures are not looked at.
 */
export const createEnvelopeReader = (secret: string | undefined) => {
  const keys = new Map<string, Buffer>();
  const keyOf = (graphSecret: string, producer: string): Buffer => {
    let key = keys.get(producer);
    if (key === undefined) {
      key = producerKey(graphSecret, producer);
      // Names come from outside; they are not remembered without bound.
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

/** Whether the reader found a fault. */
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
