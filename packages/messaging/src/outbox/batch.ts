import { openMessageSpan, type MessageSpan } from '@cinegraph/service/telemetry/tracing';
import type { OutgoingMessage } from '../broker.js';
import { createEnvelopeSigner, encodeEnvelope, producerKey } from '../envelope.js';
import { eventIdAt, type OutboxRow } from './table.js';

/** Rows that are published together, with a message for each of their events, in order. */
export interface Batch {
  readonly rows: readonly OutboxRow[];
  readonly messages: readonly OutgoingMessage[];
  /** For each message: its row, and its index among the events of the row. */
  readonly sources: readonly { readonly row: OutboxRow; readonly at: number }[];
  readonly spans: readonly MessageSpan[];
}

/**
 * Creates a function that makes a batch of rows: an event gets an envelope and, with a secret, a signature.
 * Each event with a trace opens a span, which {@link endSpans} ends.
 */
export const createBatcher = (producer: string, secret: string | undefined) => {
  const sign = createEnvelopeSigner(secret === undefined ? undefined : producerKey(secret, producer));
  // A hot loop: npm run bench -- events.
  return (rows: readonly OutboxRow[]): Batch => {
    const messages: OutgoingMessage[] = [];
    const sources: Batch['sources'][number][] = [];
    const spans: MessageSpan[] = [];
    for (const row of rows) {
      const { type, version, topic } = row;
      // Formatting the time for each event took twice as long as the rest.
      const occurredAt = row.created_at.toISOString();
      const events = row.events ?? [{ key: row.key, trace: row.trace, data: row.payload }];
      for (const [at, event] of events.entries()) {
        if (event === null) continue;
        const { key, trace, data } = event;
        sources.push({ row, at });
        if (type === null) {
          messages.push({ topic, key, value: row.value, headers: row.headers ?? {} });
          continue;
        }
        const span = openMessageSpan(trace, `publish ${topic}`, 'producer');
        if (span) spans.push(span);
        const value = encodeEnvelope({
          id: eventIdAt(row, at),
          type,
          version,
          key: key ?? '',
          occurredAt,
          producer,
          trace: span?.trace ?? trace ?? undefined,
          data,
        });
        messages.push({ topic, key, value, headers: sign(topic, value) });
      }
    }
    return { rows, messages, sources, spans };
  };
};

/** Ends the spans of a batch. */
export const endSpans = ({ spans }: Batch, outcome?: 'failed'): void => {
  for (const span of spans) span.end(outcome);
};
