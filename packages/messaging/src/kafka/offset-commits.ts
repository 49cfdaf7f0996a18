import type { OffsetsByTopicPartition } from 'kafkajs';
import { pause } from '@cinegraph/service/timing';
import type { Partition } from './partition.js';

const commitEveryMs = 50;

/** Commits the offsets of finished batches. */
export interface OffsetCommits {
  /** Starts a commit now, or at the latest 50 ms after the one that is in progress. */
  readonly schedule: () => void;
  /** Resolves when every offset that waited has been sent; never rejects. */
  readonly drain: () => Promise<void>;
}

/**
 * Batches commits: each request carries the offsets of all `partitions` that have one waiting, and the next
 * request is sent 50 ms after the last one was answered. `commit` must not reject.
 */
export const createOffsetCommits = (
  partitions: () => readonly Partition[],
  commit: (offsets: OffsetsByTopicPartition) => Promise<void>,
): OffsetCommits => {
  let committing: Promise<void> | undefined;
  const commitAll = async (): Promise<void> => {
    // Batches that finish in the same tick are committed together.
    await Promise.resolve();
    for (;;) {
      const offsets = takeOffsets(partitions());
      if (offsets.topics.length === 0) break;
      await commit(offsets);
      await pause(commitEveryMs);
    }
    // Cleared here and not after the promise has resolved: an offset that arrives in between would not be
    // sent.
    committing = undefined;
  };
  return {
    schedule: () => {
      committing ??= commitAll();
    },
    drain: async () => committing,
  };
};

const takeOffsets = (partitions: readonly Partition[]): OffsetsByTopicPartition => {
  const byTopic = new Map<string, { partition: number; offset: string }[]>();
  for (const { topic, partition, takeOffsetToCommit } of partitions) {
    const offset = takeOffsetToCommit();
    if (offset === undefined) continue;
    const entries = byTopic.get(topic) ?? [];
    entries.push({ partition, offset: String(offset) });
    byTopic.set(topic, entries);
  }
  return { topics: [...byTopic].map(([topic, entries]) => ({ topic, partitions: entries })) };
};
