import { afterEach, expect, jest, test } from '@jest/globals';
import type { KafkaMessage } from 'kafkajs';
import { pino } from 'pino';
import { createPartition, type PartitionOptions } from './partition.js';

const messagesOf = (from: number, next: number, bytes = 1): KafkaMessage[] =>
  Array.from({ length: next - from }, (_, index) => ({
    key: null,
    attributes: 0,
    timestamp: '0',
    headers: {},
    offset: String(from + index),
    value: Buffer.alloc(bytes),
  }));

/** A fetch that requested offset `from` and returned all messages before `next`. */
const fetched = (from: number, next: number, bytes?: number) => ({
  from: BigInt(from),
  messages: messagesOf(from, next, bytes),
  next: BigInt(next),
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A partition whose batches end when the test calls `end`, with a record of all its calls. */
const setUp = ({ maxBatch = 100 }: { readonly maxBatch?: number } = {}) => {
  const batches: number[][] = [];
  const committed: bigint[] = [];
  const calls: string[] = [];
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const options: PartitionOptions = {
    topic: 'test.topic.v1',
    partition: 3,
    consumer: {
      pause: (partitions) => void calls.push(`pause ${partitions[0]?.partitions?.join()}`),
      resume: (partitions) => void calls.push(`resume ${partitions[0]?.partitions?.join()}`),
      seek: ({ offset }) => void calls.push(`seek ${offset}`),
    },
    subscription: {
      group: 'test.group',
      maxBatch,
      onBatch: (messages) => {
        batches.push(messages.map(({ offset }) => Number(offset)));
        return new Promise((resolve, reject) => ends.push({ resolve, reject }));
      },
    },
    logger: pino({ level: 'silent' }),
    onBatchDone: () => {
      const offset = partition.takeOffsetToCommit();
      if (offset !== undefined) committed.push(offset);
    },
  };
  const partition = createPartition(options);
  const end = async (error?: Error) => {
    const batch = ends.shift();
    if (error) batch?.reject(error);
    else batch?.resolve();
    await settled();
  };
  return { partition, batches, committed, calls, end };
};

afterEach(() => {
  jest.useRealTimers();
});

test('messages that are fetched while a batch runs form the next batch together', async () => {
  const { partition, batches, committed, end } = setUp();
  partition.enqueue(fetched(0, 2));
  partition.enqueue(fetched(2, 3));
  // A transaction marker follows the last message.
  partition.enqueue({ ...fetched(3, 5), next: 6n });
  expect(batches).toEqual([[0, 1]]);
  await end();
  expect(batches).toEqual([
    [0, 1],
    [2, 3, 4],
  ]);
  expect(committed).toEqual([2n]);
  await end();
  expect(committed).toEqual([2n, 6n]);
  expect(partition.isRunning()).toBe(false);
  partition.enqueue(fetched(6, 7));
  expect(batches.at(-1)).toEqual([6]);
});

test('a batch has at most maxBatch messages, and the queue has capacity again when the next batch starts', async () => {
  const { partition, batches, committed, end } = setUp({ maxBatch: 2 });
  let hasCapacity = false;
  const wait = () => void partition.waitForCapacity().then(() => (hasCapacity = true));
  partition.enqueue(fetched(0, 5));
  wait();
  await settled();
  expect([batches, hasCapacity]).toEqual([[[0, 1]], false]);
  await end();
  expect([batches.length, hasCapacity, committed]).toEqual([2, true, [2n]]);
  hasCapacity = false;
  partition.enqueue(fetched(5, 6, 1_048_576));
  wait();
  await settled();
  expect(hasCapacity).toBe(false);
  partition.dropQueue();
  await settled();
  expect(hasCapacity).toBe(true);
});

test('after a failed batch, no later message is handled before its messages, whatever was fetched meanwhile', async () => {
  const { partition, batches, committed, calls, end } = setUp();
  partition.enqueue(fetched(10, 12));
  partition.enqueue(fetched(12, 14));
  await end(new Error('the database is unavailable'));
  expect([calls, committed, partition.isRunning()]).toEqual([['pause 3', 'seek 10'], [], false]);
  // This was fetched before the consumer was sent back to offset 10.
  expect(partition.enqueue(fetched(14, 16))).toBe(false);
  expect(calls.at(-1)).toBe('seek 10');
  expect(batches).toEqual([[10, 11]]);
  expect(partition.enqueue(fetched(10, 16))).toBe(true);
  await end();
  expect(committed).toEqual([16n]);
  expect(batches.at(-1)).toEqual([10, 11, 12, 13, 14, 15]);
  await partition.close();
});

test('a failing partition is resumed after a back-off that grows with each failure and is short after a success', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate'] });
  const { partition, calls, end } = setUp();
  const failOnce = async () => {
    partition.enqueue(fetched(0, 1));
    await end(new Error('the database is unavailable'));
  };
  for (const longestMs of [200, 400, 800]) {
    await failOnce();
    jest.advanceTimersByTime(longestMs / 2 - 1);
    expect(calls.splice(0)).toEqual(['pause 3', 'seek 0']);
    jest.advanceTimersByTime(longestMs / 2 + 1);
    expect(calls.splice(0)).toEqual(['resume 3']);
  }
  partition.enqueue(fetched(0, 1));
  await end();
  partition.enqueue(fetched(1, 2));
  await end(new Error('the database is unavailable'));
  jest.advanceTimersByTime(200);
  expect(calls.splice(0)).toEqual(['pause 3', 'seek 1', 'resume 3']);
});

test('messages that the broker no longer has are skipped, and a log that starts again at offset 0 is read', async () => {
  const { partition, batches, calls, end } = setUp();
  partition.enqueue(fetched(0, 2));
  await end();
  expect(partition.enqueue(fetched(7, 9))).toBe(false);
  expect(calls).toEqual(['seek 2']);
  expect(partition.enqueue(fetched(7, 9))).toBe(true);
  await end();
  expect(partition.enqueue(fetched(0, 1))).toBe(true);
  await end();
  expect(batches).toEqual([[0, 1], [7, 8], [0]]);
});

test('messages that are queued when a rebalance starts are fetched again, but not those of a batch that succeeds', async () => {
  const { partition, batches, committed, calls, end } = setUp();
  partition.enqueue(fetched(0, 2));
  partition.enqueue(fetched(2, 4));
  partition.dropQueue();
  partition.assign();
  expect(partition.enqueue(fetched(4, 5))).toBe(false);
  expect(calls).toEqual(['seek 0']);
  await end();
  expect([batches, committed]).toEqual([[[0, 1]], [2n]]);
  expect(partition.enqueue(fetched(2, 4))).toBe(true);
  expect(batches.at(-1)).toEqual([2, 3]);
});

test('nothing of a revoked partition is committed, and it can be assigned again at any offset', async () => {
  const { partition, batches, committed, calls, end } = setUp();
  partition.enqueue(fetched(0, 2));
  partition.enqueue(fetched(2, 4));
  partition.revoke();
  expect(partition.isAssigned()).toBe(false);
  partition.assign();
  partition.enqueue(fetched(8, 9));
  await end(new Error('the database is unavailable'));
  expect([batches, committed, calls]).toEqual([[[0, 1], [8]], [], []]);
  await end();
  expect(committed).toEqual([9n]);
});

test('close waits for the running batch, whose offset can still be committed, and drops the queue', async () => {
  const { partition, batches, committed, end } = setUp();
  partition.enqueue(fetched(0, 2));
  partition.enqueue(fetched(2, 4));
  let isClosed = false;
  void partition.close().then(() => (isClosed = true));
  await settled();
  expect(isClosed).toBe(false);
  await end();
  expect([isClosed, batches, committed]).toEqual([true, [[0, 1]], [2n]]);
});
