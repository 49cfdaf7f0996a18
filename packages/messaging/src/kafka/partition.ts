import type { Consumer, KafkaMessage } from 'kafkajs';
import { backoffMs } from '@cinegraph/service/backoff';
import type { Logger } from '@cinegraph/service/logger';
import type { SubscriptionOptions } from '../broker.js';
import { incomingMessage, type FetchedMessages } from './message.js';

/** One partition of a session: its queue, running batch, back-off, next offset and offset to commit. */
export interface Partition {
  readonly topic: string;
  readonly partition: number;
  /** Returns whether the partition is assigned to this member. */
  readonly isAssigned: () => boolean;
  /** Returns whether a batch is being handled. */
  readonly isRunning: () => boolean;
  /** Called for each group join that assigns the partition to this member. Drops the queue. */
  readonly assign: () => void;
  /**
   * Called for each group join that assigns the partition elsewhere. Drops the queue; the running batch
   * finishes, but is not committed.
   */
  readonly revoke: () => void;
  /**
   * Appends fetched messages to the queue and starts to handle them. Returns false, and seeks the consumer
   * back, if messages are missing between the last ones and these, as after a failed batch. If the same fetch
   * comes again, the broker no longer has the missing messages, and they are skipped.
   */
  readonly enqueue: (fetched: FetchedMessages) => boolean;
  /** Resolves once the queue has capacity for another fetch. */
  readonly waitForCapacity: () => Promise<void>;
  /** Drops the queue, which is then fetched again. The running batch continues. */
  readonly dropQueue: () => void;
  /** Returns the offset after the last finished batch, once; undefined if there is nothing to commit. */
  readonly takeOffsetToCommit: () => bigint | undefined;
  /** Drops the queue, ends the back-off, and resolves when the running batch is finished; never rejects. */
  readonly close: () => Promise<void>;
}

/** The dependencies of a partition. */
export interface PartitionOptions {
  readonly topic: string;
  readonly partition: number;
  readonly consumer: Pick<Consumer, 'pause' | 'resume' | 'seek'>;
  readonly subscription: Pick<SubscriptionOptions, 'group' | 'onBatch' | 'maxBatch'>;
  readonly logger: Logger;
  /** Called when a batch is finished and its offset waits for `takeOffsetToCommit`. */
  readonly onBatchDone: () => void;
}

/** Backs off 0.1 to 0.2 s after the first failure, up to 10 s. */
const batchBackoff = { firstMs: 200 };

/**
 * Creates a partition that is assigned. It handles messages in the order of their offsets, one batch at a
 * time, each with all messages that are queued by then, up to `maxBatch`. The next fetch runs meanwhile, and
 * other partitions do not wait.
 */
export const createPartition = (options: PartitionOptions): Partition => {
  const { topic, partition, consumer, subscription, logger, onBatchDone } = options;
  const { group, onBatch, maxBatch = 5_000 } = subscription;
  const queue = createQueue(maxBatch);
  let assigned = true;
  let closed = false;
  /** The offset that the next fetch has to start from; undefined before the first fetch. */
  let nextOffset: bigint | undefined;
  /** The offset that the consumer was sent back to because messages were missing. */
  let soughtOffset: bigint | undefined;
  /** The running batch; undefined as soon as its partition is revoked. */
  let batch: { readonly firstOffset: bigint } | undefined;
  let running: Promise<void> | undefined;
  let offsetToCommit: bigint | undefined;
  let failures = 0;
  let backoffTimer: NodeJS.Timeout | undefined;

  const seek = (offset: bigint) => consumer.seek({ topic, partition, offset: String(offset) });

  const dropQueue = (): void => {
    nextOffset = batch?.firstOffset ?? queue.firstOffset() ?? nextOffset;
    soughtOffset = undefined;
    queue.clear();
  };

  const backOff = (error: unknown, firstOffset: bigint): void => {
    const pauseMs = Math.round(backoffMs(failures, batchBackoff));
    failures += 1;
    logger.warn({ err: error, group, topic, partition, pauseMs }, 'a batch failed; its partition is paused');
    if (closed) return;
    const partitions = [{ topic, partitions: [partition] }];
    consumer.pause(partitions);
    seek(firstOffset);
    backoffTimer = setTimeout(() => consumer.resume(partitions), pauseMs);
  };

  const runBatch = async (): Promise<void> => {
    const messages = queue.shift();
    const current = { firstOffset: offsetOf(messages[0]) ?? 0n };
    const afterLast = (offsetOf(messages.at(-1)) ?? 0n) + 1n;
    // After the last message there may be transaction markers: the offset of the next fetch is then greater.
    const endOffset = queue.isEmpty() && nextOffset !== undefined ? nextOffset : afterLast;
    batch = current;
    try {
      await onBatch(messages.map((message) => incomingMessage(topic, partition, message)));
    } catch (error) {
      // The partition was revoked meanwhile: the failure concerns only its new member.
      if (batch !== current) return;
      dropQueue();
      batch = undefined;
      backOff(error, current.firstOffset);
      return;
    }
    if (batch !== current) return;
    batch = undefined;
    // The queue was dropped while the batch ran: its messages need not be fetched again.
    if (queue.isEmpty() && nextOffset !== undefined && nextOffset < endOffset) nextOffset = endOffset;
    offsetToCommit = endOffset;
    failures = 0;
    onBatchDone();
  };

  const run = async (): Promise<void> => {
    while (!queue.isEmpty()) await runBatch();
    running = undefined;
  };

  return {
    topic,
    partition,
    isAssigned: () => assigned,
    isRunning: () => running !== undefined,
    assign: () => {
      assigned = true;
      dropQueue();
    },
    revoke: () => {
      assigned = false;
      batch = undefined;
      dropQueue();
      nextOffset = undefined;
      offsetToCommit = undefined;
    },
    enqueue: ({ from, messages, next }) => {
      if (nextOffset !== undefined && from > nextOffset && soughtOffset !== nextOffset) {
        soughtOffset = nextOffset;
        seek(nextOffset);
        return false;
      }
      nextOffset = next;
      soughtOffset = undefined;
      queue.push(messages);
      if (!queue.isEmpty()) running ??= run();
      return true;
    },
    waitForCapacity: queue.waitForCapacity,
    dropQueue,
    takeOffsetToCommit: () => {
      const offset = offsetToCommit;
      offsetToCommit = undefined;
      return offset;
    },
    close: async () => {
      closed = true;
      clearTimeout(backoffTimer);
      dropQueue();
      await running;
    },
  };
};

/** A queue is full at this size, which one fetch may exceed. */
const maxQueuedBytes = 1_048_576;

/** Messages that were fetched and are not yet handled, in the order of their offsets. */
const createQueue = (maxMessages: number) => {
  let messages: KafkaMessage[] = [];
  let bytes = 0;
  let waiting: (() => void)[] = [];

  const isFull = () => messages.length >= maxMessages || bytes >= maxQueuedBytes;
  const notifyCapacity = () => {
    if (isFull()) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };

  return {
    isEmpty: () => messages.length === 0,
    firstOffset: () => offsetOf(messages[0]),
    push: (fetched: readonly KafkaMessage[]): void => {
      for (const message of fetched) {
        messages.push(message);
        bytes += bytesOf(message);
      }
    },
    /** Removes and returns the first `maxMessages` messages, or as many as there are. */
    shift: (): readonly KafkaMessage[] => {
      const shifted = messages.splice(0, maxMessages);
      for (const message of shifted) bytes -= bytesOf(message);
      notifyCapacity();
      return shifted;
    },
    clear: (): void => {
      messages = [];
      bytes = 0;
      notifyCapacity();
    },
    waitForCapacity: async (): Promise<void> => {
      if (isFull()) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
};

const bytesOf = ({ key, value }: KafkaMessage): number => (key?.length ?? 0) + (value?.length ?? 0);

const offsetOf = (message: KafkaMessage | undefined): bigint | undefined => message && BigInt(message.offset);
