import type { BrokerAdmin, RecordPosition } from '../broker.js';
import type { OutboxEntry } from './table.js';

/** A partition, and the offset behind the last message of ours that it is known to have. */
export interface KnownEnd {
  readonly topic: string;
  readonly partition: number;
  readonly next: bigint;
}

/**
 * What the relay knows of the ends of its partitions, by which it sees that a broker has lost its log: an end, or the place of
 * a new message, before that of the last message of ours. Whether such a log began anew, or only lost its tail, cannot be
 * told once something was written to it: all that we put into it counts as lost.
 */
export const createKnownEnds = (known: readonly KnownEnd[]) => {
  const ends = new Map(known.map((end) => [keyOf(end), end]));
  return {
    /** The partitions that the broker has less of than it took from us, with their present ends. */
    lost: async (broker: BrokerAdmin): Promise<readonly KnownEnd[]> => {
      if (ends.size === 0) return [];
      const present = await broker.endOffsets([...new Set([...ends.values()].map(({ topic }) => topic))]);
      return [...ends.values()].flatMap(({ topic, partition, next }) => {
        // A topic or partition that is not there any more has lost everything.
        const end = present.get(topic)?.find((place) => place.partition === partition)?.offset ?? 0n;
        return end < next ? [{ topic, partition, next: end }] : [];
      });
    },

    /** Which entries are to be marked as put there, the ends behind them, and which partitions are found to have begun anew. */
    compare: (entries: readonly OutboxEntry[], places: readonly RecordPosition[]) => {
      const lost = new Map<string, KnownEnd>();
      const moved = new Map<string, KnownEnd>();
      const found = entries.map((entry, index) => {
        const place = places[index];
        if (!place) throw new Error('the broker has not said where it put each event');
        const { topic } = entry.row;
        const { partition, offset } = place;
        const end = { topic, partition, next: offset + 1n };
        const key = keyOf(end);
        const before = ends.get(key);
        if (lost.has(key) || (before && offset < before.next)) lost.set(key, end);
        if ((moved.get(key)?.next ?? 0n) < end.next) moved.set(key, end);
        return { entry, partition, key };
      });
      for (const key of lost.keys()) moved.delete(key);
      return {
        placed: found.filter(({ key }) => !lost.has(key)),
        moved: [...moved.values()],
        lost: [...lost.values()],
      };
    },

    /** Notes the ends that were moved. */
    move: (moved: readonly KnownEnd[]): void => {
      for (const end of moved) ends.set(keyOf(end), end);
    },
  };
};

const keyOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;
