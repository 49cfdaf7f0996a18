import { createEnvelopeReader, isEnvelopeFault, type Envelope } from '@cinegraph/messaging/envelope';
import { decodeEvent, type DecodedEvent, type EventDefinition } from './event.js';

/**
 * What a message of a subgraph's topic is: an event, or a fault. The envelope is there if its producer may
 * publish to the topic, which the signature proves.
 */
export type ReadEvent<Definitions extends readonly EventDefinition[]> =
  | ({ readonly envelope: Envelope } & DecodedEvent<Definitions>)
  | { readonly envelope?: undefined; readonly code: string; readonly reason: string };

type EnvelopeReader = ReturnType<typeof createEnvelopeReader>;

/**
 * Creates the reader of a subgraph's own topic, on which only `owner` may publish. It returns null for what
 * does not concern the consumer: a tombstone, and an event of a type that `definitions` does not have,
 * because the owner may add types. An unknown version of a known type is a fault, because a later release can
 * read it. Without the secret of the graph (never in production) signatures are not checked.
 */
export const createEventReader = <const Definitions extends readonly EventDefinition[]>(options: {
  readonly secret: string | undefined;
  readonly owner: string;
  readonly definitions: Definitions;
}): ((message: Parameters<EnvelopeReader>[0]) => ReadEvent<Definitions> | null) => {
  const { secret, owner, definitions } = options;
  const readEnvelope = createEnvelopeReader(secret);
  return (message) => {
    if (message.value === null) return null;
    const envelope = readEnvelope(message);
    if (isEnvelopeFault(envelope)) return envelope;
    if (envelope.producer !== owner) {
      return { code: 'FORGED_EVENT', reason: `only ${owner} may publish events to this topic` };
    }
    if (!definitions.some(({ type }) => type === envelope.type)) return null;
    return { envelope, ...decodeEvent(envelope, definitions) };
  };
};
