import type { Envelope, TopicDefinition } from '@cinegraph/messaging/envelope';
import type { z } from 'zod';

/**
 * A type of event: which topic it travels on, and the schema of its data in each version that was ever
 * published.
 */
export interface EventDefinition<Data = unknown> {
  /** Past tense. */
  readonly type: string;
  readonly topic: TopicDefinition;
  /** What it says, in a sentence. */
  readonly description: string;
  /** The version that is published now. */
  readonly version: number;
  /** Of each version ever published: reads its data as that of the present version. */
  readonly schemas: Readonly<Record<number, z.ZodType<Data>>>;
}

/** An event as an outbox takes it. */
export interface DomainEvent {
  readonly type: string;
  readonly version: number;
  readonly topic: string;
  readonly key: string;
  readonly data: unknown;
}

/** Declares an event; the schema of the present version gives its data's type. */
export const defineEvent = <Data>(definition: EventDefinition<Data>): EventDefinition<Data> => definition;

/** An event of this type, to be appended to an outbox. */
export const eventOf = <Data>(
  { type, version, topic }: EventDefinition<Data>,
  key: string,
  data: Data,
): DomainEvent => ({ type, version, topic: topic.name, key, data });

/** What an envelope holds by one of the definitions, or what keeps it from holding that. */
export type DecodedEvent<Definitions extends readonly EventDefinition[]> =
  | {
      [At in keyof Definitions]: Definitions[At] extends EventDefinition<infer Data>
        ? { readonly of: Definitions[At]; readonly data: Data }
        : never;
    }[number]
  | { readonly code: 'UNKNOWN_EVENT' | 'INVALID_EVENT'; readonly reason: string };

/**
 * Reads an envelope's data by the definition of its type and version. A type that is none of these, or a
 * version that is not known (yet), is `UNKNOWN_EVENT`; data that does not fit is `INVALID_EVENT` with the
 * place.
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
