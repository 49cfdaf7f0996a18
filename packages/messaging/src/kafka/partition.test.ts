import { expect, test } from '@jest/globals';
import type { KafkaMessage } from 'kafkajs';
import { createPartitionQueue, type LaneOptions } from './partition.js';

const messagesOf = (from: number, behind: number, bytes = 1): KafkaMessage[] =>
  Array.from({ length: behind - from }, (_, index) => ({
    ...{ key: null, attributes: 0, timestamp: '0', headers: {} },
    offset: String(from + index),
    value: Buffer.alloc(bytes),
  }));

/** As if they had been fetched from there. */
const fetched = (from: number, behind: number, bytes?: number) => ({
  from: BigInt(from),
  messages: messagesOf(from, behind, bytes),
  behind: BigInt(behind),
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A lane whose batches end when the test says so. */
const laneOf = (options: Partial<LaneOptions> = {}) => {
  const batches: number[][] = [];
  const done: bigint[] = [];
  const failed: bigint[] = [];
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const lane = createPartitionQueue({
    maxBatch: 100,
    handle: (messages) => {
      batches.push(messages.map(({ offset }) => Number(offset)));
      return new Promise((resolve, reject) => ends.push({ resolve, reject }));
    },
    onDone: (behind) => done.push(behind),
    onFailed: (_error, first) => failed.push(first),
    ...options,
  });
  return {
    ...{ lane, batches, done, failed },
    end: async (error?: Error) => {
      const one = ends.shift();
      if (error) one?.reject(error);
      else one?.resolve();
      await settled();
    },
  };
};

test('what is fetched while a batch is under way is the next batch, all of it together', async () => {
  const { lane, batches, done, end } = laneOf();
  lane.take(fetched(0, 2));
  lane.take(fetched(2, 3));
  // Behind it is the mark of a transaction.
  lane.take({ ...fetched(3, 5), behind: 6n });
  expect(batches).toEqual([[0, 1]]);
  await end();
  expect(batches).toEqual([
    [0, 1],
    [2, 3, 4],
  ]);
  expect(done).toEqual([2n]);
  await end();
  expect(done).toEqual([2n, 6n]);
  expect(lane.running()).toBeUndefined();
  lane.take(fetched(6, 7));
  expect(batches.at(-1)).toEqual([6]);
});

test('a batch has no more messages than it may, and there is room again when one is begun', async () => {
  const { lane, batches, done, end } = laneOf({ maxBatch: 2 });
  let room = false;
  const wait = () => void lane.room().then(() => (room = true));
  lane.take(fetched(0, 5));
  wait();
  await settled();
  expect([batches, room]).toEqual([[[0, 1]], false]);
  await end();
  expect([batches.length, room, done]).toEqual([2, true, [2n]]);
  room = false;
  lane.take(fetched(5, 6, 1_048_576));
  wait();
  await settled();
  expect(room).toBe(false);
  lane.drop();
  await settled();
  expect(room).toBe(true);
});

test('behind a batch that failed nothing goes on before it is done, whatever was fetched meanwhile', async () => {
  const { lane, batches, done, failed, end } = laneOf();
  lane.take(fetched(10, 12));
  lane.take(fetched(12, 14));
  await end(new Error('the store is away'));
  expect([failed, done, lane.running()]).toEqual([[10n], [], undefined]);
  // Fetched before the consumer was sent back.
  expect(lane.take(fetched(14, 16))).toBe(10n);
  expect(batches).toEqual([[10, 11]]);
  expect(lane.take(fetched(10, 16))).toBeUndefined();
  await end();
  expect(done).toEqual([16n]);
  expect(batches.at(-1)).toEqual([10, 11, 12, 13, 14, 15]);
});

test('what the broker has no more is passed over, and a log that begins anew is read', async () => {
  const { lane, batches, end } = laneOf();
  lane.take(fetched(0, 2));
  await end();
  expect(lane.take(fetched(7, 9))).toBe(2n);
  expect(lane.take(fetched(7, 9))).toBeUndefined();
  await end();
  expect(lane.take(fetched(0, 1))).toBeUndefined();
  await end();
  expect(batches).toEqual([[0, 1], [7, 8], [0]]);
});

test('what waits when the group is shared out anew is fetched again, from the batch under way on', async () => {
  const { lane, batches, done, end } = laneOf();
  lane.take(fetched(0, 2));
  lane.take(fetched(2, 4));
  lane.drop();
  expect(lane.take(fetched(4, 5))).toBe(0n);
  await end();
  expect([batches, done]).toEqual([[[0, 1]], [2n]]);
  // The batch under way was done: it need not come again.
  expect(lane.take(fetched(2, 4))).toBeUndefined();
  expect(batches.at(-1)).toEqual([2, 3]);
});

test('of a partition that another member has now nothing is committed, and it may come back from anywhere', async () => {
  const { lane, batches, done, failed, end } = laneOf();
  lane.take(fetched(0, 2));
  lane.take(fetched(2, 4));
  lane.forget();
  lane.take(fetched(8, 9));
  await end(new Error('the store is away'));
  expect([batches, done, failed]).toEqual([[[0, 1], [8]], [], []]);
  await end();
  expect(done).toEqual([9n]);
});
