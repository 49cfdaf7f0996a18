import type { TopicDefinition } from './envelope.js';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';

/** How many partitions a topic gets when we create it. */
export const partitionsPerTopic = 8;

/** A message to publish. */
export interface OutgoingMessage {
  readonly topic: string;
  /** Messages of one key go to one partition, in the order in which they are published. Null: to any. */
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A message as the broker has it. */
export interface IncomingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** When the broker appended it, never a producer's clock. */
  readonly appendedAt: Date;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

/** Where the broker put a message. */
export interface RecordPosition {
  readonly partition: number;
  readonly offset: bigint;
}

/** How far a consumer group is in a partition. */
export interface GroupPosition {
  readonly topic: string;
  readonly partition: number;
  /** The next offset that the group reads; null before its first commit. */
  readonly committed: bigint | null;
  /** The offset that the next message will get. */
  readonly end: bigint;
}

/** Why a message will never be published: it is larger than its topic takes, or what it says is no topic. */
export class MessageRefused extends Error {
  override readonly name = 'MessageRefused';
}

/** The broker is there and will not have us, until a person changes something; the message says what. */
export class BrokerRefused extends Error {
  override readonly name = 'BrokerRefused';
}

/** A consumer group's member on some topics. */
export interface SubscriptionOptions {
  /** `<subgraph>.<consumer>`: members of one group share the partitions. */
  readonly group: string;
  readonly topics: readonly string[];
  /** At most so many messages a batch; 5,000 unless told. */
  readonly maxBatch?: number;
  /**
   * Gets messages of one partition in order of their offsets, one batch of a partition at a time; partitions do not wait for
   * each other. Once it resolves, the offset behind the batch is committed, at the latest with those of the next fifty
   * milliseconds; when it rejects, that partition alone pauses, backs off with jitter (0.1 s to 10 s) and gets these messages
   * again, before any other. A message may come twice (a crash, a rebalance, after which its next member may begin with it while
   * the one before still finishes it), but is never left out.
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
 * The seam to the broker, kept by `broker-kafka.ts` (many machines) and `broker-postgres.ts` (one machine). A group that has
 * never committed begins with the oldest message; so does one whose position the broker has lost, or which is beyond the
 * end of its partition since messages are lost.
 */
export interface Broker extends BrokerAdmin {
  /** Ends what is under way when stopped. Its start does not wait for the broker: a service starts while that is away. */
  readonly part: Part;
  /**
   * Publishes in order and resolves, with the place of each, when all in-sync replicas have all of them. When it rejects,
   * some may have been published: publish the same again. Gives up within 30 seconds; creates topics that are missing.
   * Rejects with {@link MessageRefused} when one of them will never be taken, however often it is published.
   */
  publish(messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]>;
  /** A part that consumes while it is started. Stopped, it finishes the batches under way and commits them. */
  subscribe(options: SubscriptionOptions): Part;
  /** Whether the broker was there when it was last spoken to. */
  answers(): boolean;
}

/** What both brokers are opened with. */
export interface BrokerOptions {
  /** `<subgraph>`, as the broker's logs name this client. */
  readonly clientId: string;
  /** The topics that this process publishes to or consumes, created when missing. */
  readonly topics: readonly TopicDefinition[];
  readonly logger: Logger;
}
