import type { IncomingMessage } from '../broker.js';
import type { Envelope } from '../envelope.js';
import type { ConsumerDefinition } from './consumer.js';
import type { MessageFault } from './dead-letters.js';
import { eventDedupKey, recordDedupKey } from './inbox.js';

/** What the reader of a topic returns. The envelope is absent if its signature could not be verified. */
type ReadMessage = { readonly envelope?: Envelope | undefined } & (MessageFault | { readonly code?: never });

/**
 * Returns the `decode` of a consumer of events. `read` returns the event of a message, its fault, or null if
 * the message does not concern the consumer. `toEvent` returns what the consumer handles of an event. A fault
 * becomes a dead letter. The deduplication key is that of the event if its envelope is verified, and else
 * that of the message.
 */
export const decodeEvents =
  <Read extends ReadMessage, Event>(
    read: (message: IncomingMessage) => Read | null,
    toEvent: (read: Exclude<Read, MessageFault>) => Event,
  ): ConsumerDefinition<Event>['decode'] =>
  (message) => {
    const found = read(message);
    if (found === null) return null;
    const { envelope } = found;
    const dedupKey = envelope ? eventDedupKey(envelope) : recordDedupKey(message);
    if (found.code !== undefined) return { dedupKey, code: found.code, reason: found.reason };
    return {
      dedupKey,
      event: toEvent(found as Exclude<Read, MessageFault>),
      trace: envelope?.trace ?? null,
    };
  };
