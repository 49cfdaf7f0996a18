import type { Logger } from '@cinegraph/service/logger';
import type { BrokerAdmin, RecordPosition } from '../broker.js';
import type { Batch } from './batch.js';
import type { KnownEnd, OutboxTable } from './table.js';

/** How often the relay checks that the broker still has everything it acknowledged. */
const checkMs = 5_000;

/**
 * Keeps the ends of the partitions that the relay publishes to, and finds out by them that a broker has lost
 * messages: the end of a partition, or the offset of a new message, is lower than the known end. Then
 * everything of the topic that is still in the outbox is published again.
 */
export const watchLog = async (options: {
  readonly table: OutboxTable;
  readonly broker: BrokerAdmin;
  readonly logger: Logger;
}) => {
  const { table, broker, logger } = options;
  const ends = new Map((await table.ends()).map((end) => [keyOf(end), end]));
  let checkAt = 0;

  const remember = (moved: readonly KnownEnd[]): void => {
    for (const end of moved) ends.set(keyOf(end), end);
  };

  const reopen = async (lost: readonly KnownEnd[]): Promise<void> => {
    const events = await table.reopen(lost);
    remember(lost);
    const topics = [...new Set(lost.map(({ topic }) => topic))];
    logger.error(
      { topics, partitions: lost.length, events },
      'the broker lost events that it had acknowledged: those of the last 72 hours are published again; run "npm run events -- backfill" to publish the current state of everything older',
    );
  };

  return {
    /**
     * Asks the broker, at most every five seconds, and returns the partitions whose end is lower than the
     * known one, with their current ends. Rejects if the broker fails.
     */
    findLost: async (): Promise<readonly KnownEnd[]> => {
      if (ends.size === 0 || performance.now() < checkAt) return [];
      const present = await broker.endOffsets([...new Set([...ends.values()].map(({ topic }) => topic))]);
      checkAt = performance.now() + checkMs;
      return [...ends.values()].flatMap(({ topic, partition, next }) => {
        // A topic or partition that no longer exists has lost everything.
        const end = present.get(topic)?.find((end) => end.partition === partition)?.offset ?? 0n;
        return end < next ? [{ topic, partition, next: end }] : [];
      });
    },

    /** Makes the next {@link findLost} ask the broker, which has failed meanwhile. */
    checkSoon: (): void => {
      checkAt = 0;
    },

    /** Makes everything of the topics of lost partitions unpublished again. */
    reopen,

    /**
     * Marks a published batch, and returns true. If the offsets show that the broker has lost messages,
     * reopens their topics instead, and returns false.
     */
    mark: async ({ rows, messages }: Batch, positions: readonly RecordPosition[]): Promise<boolean> => {
      const moved = new Map<string, KnownEnd>();
      const lost = new Set<string>();
      for (const [index, { topic }] of messages.entries()) {
        const position = positions[index];
        if (!position) throw new Error('the broker did not return the position of each event');
        const end = { topic, partition: position.partition, next: position.offset + 1n };
        const key = keyOf(end);
        if (position.offset < (ends.get(key)?.next ?? 0n)) lost.add(key);
        moved.set(key, end);
      }
      if (lost.size > 0) {
        await reopen([...moved].flatMap(([key, end]) => (lost.has(key) ? [end] : [])));
        return false;
      }
      await table.mark(rows, [...moved.values()]);
      remember([...moved.values()]);
      return true;
    },
  };
};

const keyOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;
