import { expect, test } from '@jest/globals';
import type { OffsetsByTopicPartition } from 'kafkajs';
import { createOffsetCommits } from './offset-commits.js';
import type { Partition } from './partition.js';

/** Partitions of which only the offset to commit matters, and the commits that are sent. */
const setUp = () => {
  const offsets = new Map<string, bigint>();
  const commits: OffsetsByTopicPartition['topics'][] = [];
  const partitions = [
    { topic: 'a', partition: 0 },
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
  ].map(({ topic, partition }) => {
    const takeOffsetToCommit = () => {
      const offset = offsets.get(`${topic}/${partition}`);
      offsets.delete(`${topic}/${partition}`);
      return offset;
    };
    return { topic, partition, takeOffsetToCommit } as Partition;
  });
  const { schedule, drain } = createOffsetCommits(
    () => partitions,
    async ({ topics }) => void commits.push(topics),
  );
  const finish = (key: string, offset: bigint) => {
    offsets.set(key, offset);
    schedule();
  };
  return { commits, offsets, finish, drain };
};

test('the offsets of all partitions whose batches finish together are committed in one request', async () => {
  const { commits, finish, drain } = setUp();
  finish('a/0', 5n);
  finish('b/0', 7n);
  finish('a/1', 1n);
  await drain();
  expect(commits).toEqual([
    [
      {
        topic: 'a',
        partitions: [
          { partition: 0, offset: '5' },
          { partition: 1, offset: '1' },
        ],
      },
      { topic: 'b', partitions: [{ partition: 0, offset: '7' }] },
    ],
  ]);
});

test('offsets that arrive during a commit are sent with the next request, only the last of each partition', async () => {
  const { commits, finish, drain } = setUp();
  finish('a/0', 5n);
  while (commits.length === 0) await Promise.resolve();
  finish('a/0', 6n);
  finish('a/0', 9n);
  expect(commits).toHaveLength(1);
  await drain();
  expect(commits.slice(1)).toEqual([[{ topic: 'a', partitions: [{ partition: 0, offset: '9' }] }]]);
});

test('an offset of a partition that is revoked before the commit is not committed, and later ones still are', async () => {
  const { commits, offsets, finish, drain } = setUp();
  finish('a/0', 5n);
  offsets.delete('a/0');
  await drain();
  expect(commits).toEqual([]);
  finish('a/1', 3n);
  await drain();
  expect(commits).toEqual([[{ topic: 'a', partitions: [{ partition: 1, offset: '3' }] }]]);
});
