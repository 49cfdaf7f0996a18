import type { Batch, IHeaders, KafkaMessage } from 'kafkajs';
import type { IncomingMessage } from '../broker.js';

/** The offset that a batch was fetched from. Before the first message there may be some that are compacted away. */
export const fetchedFrom = (batch: Batch & { readonly fetchedOffset?: string }): bigint =>
  BigInt(batch.fetchedOffset ?? batch.firstOffset() ?? 0);

/** A message of kafkajs as every broker hands it out. */
export const incoming = (topic: string, partition: number, message: KafkaMessage): IncomingMessage => ({
  topic,
  partition,
  offset: BigInt(message.offset),
  appendedAt: timeOf(message.timestamp),
  key: message.key,
  value: message.value,
  headers: headersOf(message.headers),
});

const lastTime = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Topics that others made may keep any time of a producer; what cannot be stored would keep its partition for ever. */
const timeOf = (timestamp: string): Date => new Date(Math.min(Math.max(Number(timestamp), 0), lastTime));

const none: Readonly<Record<string, Buffer>> = {};

/** Of a header that comes more than once, the last. */
const headersOf = (headers: IHeaders | undefined): Readonly<Record<string, Buffer>> => {
  const entries = Object.entries(headers ?? none).flatMap(([name, given]) => {
    const value = Array.isArray(given) ? given.at(-1) : given;
    return value === undefined ? [] : [[name, Buffer.from(value)] as const];
  });
  return entries.length === 0 ? none : Object.fromEntries(entries);
};
