import { envelopeSchema, signatureHeader, type TopicDefinition } from '@cinegraph/messaging/envelope';
import { z } from 'zod';
import { allEvents } from './all-events.js';
import type { EventDefinition } from './event.js';
import { camelCaseRating, snakeCaseRating } from './incoming.js';
import { ratingRetracted, ratingSubmitted } from './rating.js';
import { incomingRatings } from './topics.js';

/**
 * Returns the AsyncAPI 3.0 document of all topics, which is generated from the schemas. The document is
 * committed as packages/events/asyncapi.json.
 */
export const asyncApi = () => {
  const topics = new Map<string, TopicDefinition>(allEvents.map(({ topic }) => [topic.name, topic]));
  const messages = Object.fromEntries(
    allEvents.flatMap((event) =>
      Object.keys(event.schemas).map((version) => [nameOf(event, version), messageOf(event, version)]),
    ),
  );
  const incoming = [nameOf(ratingSubmitted), nameOf(ratingRetracted), 'CamelCaseRating', 'SnakeCaseRating'];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Cinegraph events',
      version: '1.0.0',
      description:
        'The events that the subgraphs publish and consume. Messages are keyed by movie or user, so that the messages of one stay in order.',
    },
    defaultContentType: 'application/json',
    channels: {
      ...Object.fromEntries(
        [...topics.values()].map((topic) => [
          topic.name,
          channelOf(
            topic,
            allEvents
              .filter((event) => event.topic === topic)
              .flatMap((event) => Object.keys(event.schemas).map((version) => nameOf(event, version))),
          ),
        ]),
      ),
      [incomingRatings.name]: channelOf(incomingRatings, incoming),
    },
    operations: {
      ...Object.fromEntries(
        [...topics.keys()].map((name) => [`publish ${name}`, { action: 'send', channel: channelRef(name) }]),
      ),
      [`consume ${incomingRatings.name}`]: { action: 'receive', channel: channelRef(incomingRatings.name) },
    },
    components: {
      messages: {
        ...messages,
        CamelCaseRating: externalMessage(camelCaseRating),
        SnakeCaseRating: externalMessage(snakeCaseRating),
      },
    },
  };
};

const nameOf = ({ type, version }: EventDefinition, of: string | number = version) => `${type}.v${of}`;

const channelRef = (topic: string) => ({ $ref: `#/channels/${topic.replaceAll('/', '~1')}` });

const channelOf = ({ name, retention }: TopicDefinition, messages: readonly string[]) => ({
  address: name,
  description:
    retention === 'compact'
      ? 'A compacted topic: the latest message of each key is kept.'
      : 'A topic with retention by time: every message is kept for seven days.',
  messages: Object.fromEntries(
    messages.map((message) => [message, { $ref: `#/components/messages/${message}` }]),
  ),
});

const messageOf = ({ type, description, schemas }: EventDefinition, version: string) => {
  const envelope = toJsonSchema(envelopeSchema);
  const data = toJsonSchema(schemas[Number(version)] ?? z.never());
  return {
    name: type,
    description,
    headers: {
      type: 'object',
      properties: {
        [signatureHeader]: {
          type: 'string',
          description:
            'HMAC-SHA256 over topic, line feed and the value in base64, with the producer’s key; the first 16 bytes as base64url.',
        },
      },
    },
    payload: {
      ...envelope,
      properties: {
        ...(envelope['properties'] as object),
        type: { const: type },
        version: { const: Number(version) },
        data,
      },
    },
  };
};

const externalMessage = (schema: z.ZodType) => {
  const { description, ...payload } = toJsonSchema(schema);
  return { description, payload };
};

/** Returns the JSON Schema of what a consumer must accept. Unknown fields are allowed. */
const toJsonSchema = (schema: z.ZodType): Record<string, unknown> => {
  const jsonSchema: Record<string, unknown> = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
  // The keyword may only be at the root of a document, and this schema becomes a part of one.
  delete jsonSchema['$schema'];
  return jsonSchema;
};
