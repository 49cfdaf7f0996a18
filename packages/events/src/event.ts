import type { Envelope, TopicDefinition } from '@cinegraph/messaging/envelope';
import type { z } from 'zod';

/** A type of event: its topic, and the schema of its data in each version that was ever published. */
export interface EventDefinition<Data = unknown> {
  /** The name of the event, in the past tense. */
  readonly type: string;
  readonly topic: TopicDefinition;
  /** What the event reports, in one sentence. */
  readonly description: string;
  /** The version that is published today. */
  readonly version: number;
  /** The schema of each version ever published. It converts the data to that of the present version. */
  readonly schemas: Readonly<Record<number, z.ZodType<Data>>>;
}

/** An event in the form that is appended to an outbox. */
export interface DomainEvent {
  readonly type: string;
  readonly version: number;
  readonly topic: string;
  readonly key: string;
  readonly data: unknown;
}

/** Declares an event. The type of its data is inferred from the schemas. */
export const defineEvent = <Data>(definition: EventDefinition<Data>): EventDefinition<Data> => definition;

/** Returns an event of this type for the outbox. `key` is the id whose events must stay in order. */
export const eventOf = <Data>(
  { type, version, topic }: EventDefinition<Data>,
  key: string,
  data: Data,
): DomainEvent => ({ type, version, topic: topic.name, key, data });

/** The data of an event with its definition, or the code and the reason why the event cannot be decoded. */
export type DecodedEvent<Definitions extends readonly EventDefinition[]> =
  | {
      [At in keyof Definitions]: Definitions[At] extends EventDefinition<infer Data>
        ? { readonly of: Definitions[At]; readonly data: Data }
        : never;
    }[number]
  | { readonly code: 'UNKNOWN_EVENT' | 'INVALID_EVENT'; readonly reason: string };

/**
 * Decodes the data of an envelope by the definition of its type and version. Returns `UNKNOWN_EVENT` for a
 * type without a definition and for an unknown version. Returns `INVALID_EVENT` with the path for data that
 * does not match the schema.
 */
export const decodeEvent = <const Definitions extends readonly EventDefinition[]>(
  { type, version, data }: Pick<Envelope, 'type' | 'version' | 'data'>,
  definitions: Definitions,
): DecodedEvent<Definitions> => {
  const definition = definitions.find((candidate) => candidate.type === type);
  const schema = definition?.schemas[version];
  if (!definition || !schema) {
    return { code: 'UNKNOWN_EVENT', reason: `${type} in version ${version} is not known here` };
  }
  const parsed = schema.safeParse(data);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { code: 'INVALID_EVENT', reason: `data.${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}` };
  }
  return { of: definition, data: parsed.data } as DecodedEvent<Definitions>;
};
