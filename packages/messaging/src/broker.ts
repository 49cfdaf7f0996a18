import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import type { TopicDefinition } from './envelope.js';

/** The number of partitions of each topic that we create. */
export const partitionsPerTopic = 8;

/** A message to publish. */
export interface OutgoingMessage {
  readonly topic: string;
  /**
   * Messages with the same key go to the same partition, in the order of publication. Null: to any partition.
   */
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A message as it is stored by the broker. */
export interface IncomingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** When the broker appended the message, not when a producer created it. */
  readonly appendedAt: Date;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

/** A partition of a topic and an offset in it. */
export interface RecordPosition {
  readonly partition: number;
  readonly offset: bigint;
}

/** The position of a consumer group in a partition. */
export interface GroupPosition {
  readonly topic: string;
  readonly partition: number;
  /** The offset of the next message that the group will read; null before its first commit. */
  readonly committed: bigint | null;
  /** The offset that the next message will get. */
  readonly end: bigint;
}

/**
 * Thrown for a message that the broker will never accept: it exceeds its topic's limit, or its topic is
 * invalid.
 */
export class MessageRefused extends Error {
  override readonly name = 'MessageRefused';
  /** The message that is refused: one of those that were passed to `publish`. */
  readonly refused: OutgoingMessage;

  constructor(reason: string, refused: OutgoingMessage, options?: ErrorOptions) {
    super(reason, options);
    this.refused = refused;
  }
}

/**
 * Thrown if the broker is reachable but rejects our credentials or certificate. Retrying cannot help; the
 * message says what the operator has to change.
 */
export class BrokerRefused extends Error {
  override readonly name = 'BrokerRefused';
}

/** What a member of a consumer group consumes, and how it handles it. */
export interface SubscriptionOptions {
  /**
   * `<subgraph>.<consumer>`. On Kafka, the members of a group share the partitions of its topics. On
   * PostgreSQL, one member is active and the others are on standby.
   */
  readonly group: string;
  readonly topics: readonly string[];
  /** The maximum number of messages in a batch; the default is 5,000. */
  readonly maxBatch?: number;
  /**
   * Handles messages of one partition in the order of their offsets, one batch at a time; partitions do not
   * wait for each other. When it resolves, the offset after the batch is committed within 50 ms. When it
   * rejects, only this partition backs off (0.1 s to 10 s, with jitter) and delivers the same messages again
   * before any others. A message is never lost but may be delivered twice: after a crash, or after a
   * rebalance, when the partition's next member may start with a batch that the previous one is still
   * handling.
   */
  readonly onBatch: (messages: readonly IncomingMessage[]) => Promise<void>;
}

/** The read-only questions about topics and groups that lag reports and the detection of a lost log ask. */
export interface BrokerAdmin {
  /** Returns the end offset of each partition of those topics that exist. */
  endOffsets(topics: readonly string[]): Promise<ReadonlyMap<string, readonly RecordPosition[]>>;
  /** Returns the positions of a group in all partitions of those topics that exist. */
  positions(group: string, topics: readonly string[]): Promise<readonly GroupPosition[]>;
}

/**
 * Publishes and consumes; implemented on Kafka (`kafka/broker.ts`, many machines) and on PostgreSQL
 * (`postgres/broker.ts`, one machine). A group starts at the oldest message if it has never committed, and if
 * its committed offset no longer exists because the broker has lost messages.
 */
export interface Broker extends BrokerAdmin {
  /**
   * Starts without waiting for the broker, which may be unavailable. Stopping finishes the work in progress.
   */
  readonly part: Part;
  /**
   * Publishes in order. Resolves with the position of each message when all in-sync replicas have all of
   * them. Rejects within 30 seconds; some messages may then have been published, and the caller publishes all
   * of them again. If the broker will never accept one of them, rejects with {@link MessageRefused}, which
   * names that message. Creates missing topics.
   */
  publish(messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]>;
  /** Returns a part that consumes while it is started. Stopping finishes and commits the running batches. */
  subscribe(options: SubscriptionOptions): Part;
  /** Returns whether the broker was available when it was last used. */
  answers(): boolean;
}

/** What both brokers are opened with. */
export interface BrokerOptions {
  /** The name of the subgraph; it identifies this client in the logs of the broker. */
  readonly clientId: string;
  /** The topics that this process publishes to or consumes; missing ones are created. */
  readonly topics: readonly TopicDefinition[];
  readonly logger: Logger;
}
