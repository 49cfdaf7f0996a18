import type { OffsetsByTopicPartition, TopicPartitionOffset } from 'kafkajs';
import { pause } from '@cinegraph/service/timing';

const commitEveryMs = 50;

/** Sends what is added, all of it together, one commit after the other; `send` never rejects. */
export const createCommits = (send: (offsets: OffsetsByTopicPartition) => Promise<void>) => {
  const waiting = new Map<string, TopicPartitionOffset>();
  let sending: Promise<void> | undefined;
  const sendAll = async (): Promise<void> => {
    while (waiting.size > 0) {
      const offsets = byTopic([...waiting.values()]);
      waiting.clear();
      await send(offsets);
      await pause(commitEveryMs);
    }
    // Not when the promise is seen to be over: what is added until then would wait for the next one.
    sending = undefined;
  };
  return {
    add: (offset: TopicPartitionOffset): void => {
      waiting.set(`${offset.topic}/${offset.partition}`, offset);
      sending ??= sendAll();
    },
    /** Of a partition, `<topic>/<partition>`, that is another member's now. */
    forget: (slot: string): void => void waiting.delete(slot),
    /** Resolves when all that was added is sent; never rejects. */
    all: (): Promise<void> => sending ?? Promise.resolve(),
  };
};

const byTopic = (offsets: readonly TopicPartitionOffset[]): OffsetsByTopicPartition => ({
  topics: [...new Set(offsets.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: offsets.filter((one) => one.topic === topic),
  })),
});
