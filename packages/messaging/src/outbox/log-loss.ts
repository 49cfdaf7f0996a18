import type { BrokerAdmin, RecordPosition } from '../broker.js';
import type { OutboxEntry } from './table.js';

/** A partition and the offset after the last message that the relay published to it. */
export interface KnownEnd {
  readonly topic: string;
  readonly partition: number;
  readonly next: bigint;
}

/**
 * Keeps the ends of the partitions that the relay publishes to, and finds out by them that a broker has lost
 * messages: the end of a partition, or the offset of a new message, is lower than the known end. Once
 * something was appended to such a partition, nobody can say how much of it is missing; all that the relay
 * published to it counts as lost.
 */
export const createKnownEnds = (known: readonly KnownEnd[]) => {
  const ends = new Map(known.map((end) => [keyOf(end), end]));
  return {
    /** Returns the partitions whose end is lower than the known one, with their current ends. */
    lost: async (broker: BrokerAdmin): Promise<readonly KnownEnd[]> => {
      if (ends.size === 0) return [];
      const present = await broker.endOffsets([...new Set([...ends.values()].map(({ topic }) => topic))]);
      return [...ends.values()].flatMap(({ topic, partition, next }) => {
        // A topic or partition that no longer exists has lost everything.
        const end = present.get(topic)?.find((end) => end.partition === partition)?.offset ?? 0n;
        return end < next ? [{ topic, partition, next: end }] : [];
      });
    },

    /**
     * Compares published entries with the positions that the broker returned: which to mark as published, the
     * new ends, and the partitions that have lost messages.
     */
    compare: (entries: readonly OutboxEntry[], positions: readonly RecordPosition[]) => {
      const lost = new Map<string, KnownEnd>();
      const moved = new Map<string, KnownEnd>();
      const found = entries.map((entry, index) => {
        const position = positions[index];
        if (!position) throw new Error('the broker did not return the position of each event');
        const { topic } = entry.row;
        const { partition, offset } = position;
        const end = { topic, partition, next: offset + 1n };
        const key = keyOf(end);
        const before = ends.get(key);
        if (lost.has(key) || (before && offset < before.next)) lost.set(key, end);
        if ((moved.get(key)?.next ?? 0n) < end.next) moved.set(key, end);
        return { entry, partition, key };
      });
      for (const key of lost.keys()) moved.delete(key);
      return {
        published: found.filter(({ key }) => !lost.has(key)),
        moved: [...moved.values()],
        lost: [...lost.values()],
      };
    },

    /** Replaces the known ends. */
    move: (moved: readonly KnownEnd[]): void => {
      for (const end of moved) ends.set(keyOf(end), end);
    },
  };
};

const keyOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;
