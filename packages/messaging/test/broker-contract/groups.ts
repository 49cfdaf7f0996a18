import { expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { partitionsPerTopic, type IncomingMessage } from '../../src/broker.js';
import { gate, numbered, withoutRepeats, type Bench } from './bench.js';

/**
 * What a broker guarantees to a group with several members: they share the partitions, or one of them is
 * active and the others are on standby.
 */
export const groupContract = (
  bench: Bench,
  { oneActiveMember }: { readonly oneActiveMember: boolean },
): void => {
  const { topicOf, connect, consume, groupOf } = bench;

  /**
   * Opens members of a group that record every message they handle, and batches of one partition that
   * overlap.
   */
  const openGroup = async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('members');
    const busy = new Set<number>();
    const overlaps: number[] = [];
    const handled: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => {
      const { partition } = batch[0]!;
      if (busy.has(partition)) overlaps.push(partition);
      busy.add(partition);
      await new Promise((resolve) => setImmediate(resolve));
      handled.push(...batch);
      busy.delete(partition);
    };
    let published = 0;
    return {
      join: async () => consume(await connect(topic), { group, topics: [topic.name], maxBatch: 20, onBatch }),
      /** Publishes to all partitions until `condition` holds, and waits until every message is handled. */
      publishUntil: async (condition: () => boolean, what: string) => {
        await until(async () => {
          const keys = Array.from({ length: 80 }, (_, index) => `key-${index}`);
          const value = Buffer.from(String(published));
          await broker.publish(keys.map((key) => ({ topic: topic.name, key, value, headers: {} })));
          published += 80;
          return condition();
        }, what);
        await until(() => withoutRepeats(handled).length >= published, 'every message was handled');
      },
      /** Expects that no batches of a partition overlapped, and that no message was lost or out of order. */
      expectOrder: () => {
        expect(overlaps).toEqual([]);
        expect(withoutRepeats(handled)).toHaveLength(published);
        for (let partition = 0; partition < partitionsPerTopic; partition += 1) {
          const offsets = withoutRepeats(handled).filter((one) => one.partition === partition);
          expect(offsets.map(({ offset }) => offset)).toEqual(offsets.map((_, index) => BigInt(index)));
        }
      },
    };
  };

  const partitionsOf = (messages: readonly IncomingMessage[]) =>
    new Set(messages.map(({ partition }) => partition));

  if (oneActiveMember) {
    test('one member of a group is active and has every partition, and a standby takes over when it stops', async () => {
      const { join, publishUntil, expectOrder } = await openGroup();
      const active = await join();
      await publishUntil(() => active.messages.length > 0, 'the first member is active');
      const standby = await join();
      for (let round = 0; round < 5; round += 1) {
        const before = active.messages.length;
        await publishUntil(
          () => partitionsOf(active.messages.slice(before)).size === partitionsPerTopic,
          'the active member has every partition',
        );
      }
      expect(standby.messages).toEqual([]);

      await active.stop();
      await publishUntil(
        () => partitionsOf(standby.messages).size === partitionsPerTopic,
        'the standby has every partition',
      );
      expectOrder();
    });
  } else {
    test('members of a group share the partitions, and the last one takes over all of them', async () => {
      const { join, publishUntil, expectOrder } = await openGroup();
      const [first, second] = [await join(), await join()];
      await publishUntil(
        () => first.messages.length > 0 && second.messages.length > 0,
        'both members have partitions',
      );
      const before = [first.messages.length, second.messages.length] as const;
      await publishUntil(
        () => first.messages.length > before[0] && second.messages.length > before[1],
        'both members continue',
      );
      const ofFirst = partitionsOf(first.messages.slice(before[0]));
      const ofSecond = partitionsOf(second.messages.slice(before[1]));
      expect([...ofFirst].filter((partition) => ofSecond.has(partition))).toEqual([]);

      await first.stop();
      const left = second.messages.length;
      await publishUntil(
        () => partitionsOf(second.messages.slice(left)).size === partitionsPerTopic,
        'the other member has every partition',
      );
      expectOrder();
    });
  }

  test('a batch that runs while another member joins is finished, and no message is lost', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('join');
    const [entered, released] = [gate(), gate()];
    const first = await consume(await connect(topic), {
      ...{ group, topics: [topic.name] },
      onBatch: async () => {
        entered.open();
        await released.opened;
      },
    });
    const sent = Array.from({ length: 40 }, (_, index) => numbered(topic.name, `key-${index}`, 5)).flat();
    await broker.publish(sent);
    await entered.opened;
    const second = await consume(await connect(topic), { group, topics: [topic.name] });
    released.open();
    await until(() => {
      return withoutRepeats([...first.messages, ...second.messages]).length >= sent.length;
    }, 'every message came');
    await until(
      async () =>
        (await broker.positions(group, [topic.name])).every(
          ({ committed, end }) => (committed ?? 0n) === end,
        ),
      'every message is committed',
    );
    // At most, each running batch is delivered once more.
    expect(first.messages.length + second.messages.length).toBeLessThanOrEqual(2 * sent.length);
  });
};
