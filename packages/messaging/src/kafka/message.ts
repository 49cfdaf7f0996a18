import type { Batch, IHeaders, KafkaMessage } from 'kafkajs';
import type { IncomingMessage } from '../broker.js';

/** What one fetch returned for a partition. */
export interface FetchedMessages {
  /** The offset that was requested. It may be lower than that of the first message, because of compaction. */
  readonly from: bigint;
  readonly messages: readonly KafkaMessage[];
  /**
   * The offset to request next. Transaction markers, which are not handed out, may follow the last message.
   */
  readonly next: bigint;
}

/** Converts a batch of kafkajs; its type lacks the offset that was requested. */
export const fetchedMessages = (batch: Batch & { readonly fetchedOffset?: string }): FetchedMessages => ({
  from: BigInt(batch.fetchedOffset ?? batch.firstOffset() ?? 0),
  messages: batch.messages,
  next: BigInt(batch.lastOffset()) + 1n,
});

/** Converts a message of kafkajs. If a header is repeated, its last value is used. */
export const incomingMessage = (
  topic: string,
  partition: number,
  message: KafkaMessage,
): IncomingMessage => ({
  topic,
  partition,
  offset: BigInt(message.offset),
  appendedAt: storableDate(message.timestamp),
  key: message.key,
  value: message.value,
  headers: lastHeaders(message.headers),
});

const latestMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/**
 * A topic created by others may keep any timestamp of its producers. One that no database can store would
 * fail its batch for ever, and so stop its partition.
 */
const storableDate = (timestamp: string): Date =>
  new Date(Math.min(Math.max(Number(timestamp), 0), latestMs));

const noHeaders: Readonly<Record<string, Buffer>> = {};

const lastHeaders = (headers: IHeaders | undefined): Readonly<Record<string, Buffer>> => {
  const entries = Object.entries(headers ?? noHeaders).flatMap(([name, values]) => {
    const value = Array.isArray(values) ? values.at(-1) : values;
    return value === undefined ? [] : [[name, Buffer.from(value)] as const];
  });
  return entries.length === 0 ? noHeaders : Object.fromEntries(entries);
};
