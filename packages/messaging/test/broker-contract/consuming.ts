import { expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { partitionsPerTopic } from '../../src/broker.js';
import { gate, numbered, texts, withoutRepeats, type Bench } from './bench.js';

/** What every broker guarantees to a group with one member. */
export const consumingContract = (bench: Bench): void => {
  const { topicOf, connect, consume, groupOf, committedOf, keysApart, setPosition } = bench;

  test('a group without a committed offset starts with the oldest message, and each group gets every message', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    await broker.publish(numbered(topic.name, 'one', 5));
    const groups = await Promise.all(
      ['a', 'b'].map((name) => consume(broker, { group: groupOf(name), topics: [topic.name] })),
    );
    await broker.publish(numbered(topic.name, 'one', 5, 'later-'));
    for (const { messages } of groups) {
      await until(() => withoutRepeats(messages).length >= 10, 'every message came');
      expect(texts(withoutRepeats(messages))).toEqual(
        texts([...numbered('', null, 5), ...numbered('', null, 5, 'later-')]),
      );
    }
  });

  test('a group whose offset is beyond the end of its partition continues with the oldest message', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('beyond');
    const [position] = await broker.publish(numbered(topic.name, 'one', 5));
    await setPosition(group, topic.name, { ...position!, offset: 20n });
    const { messages } = await consume(broker, { group, topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 5, 'the existing messages came');
    await broker.publish(numbered(topic.name, 'one', 30, 'later-'));
    await until(() => texts(messages).includes('later-29'), 'every message came');
    expect(texts(withoutRepeats(messages))).toEqual(
      texts([...numbered('', null, 5), ...numbered('', null, 30, 'later-')]),
    );
  });

  test('a consumer can start before its topic exists', async () => {
    const [topic, other] = [topicOf(), topicOf()];
    const reader = await connect(topic, other);
    const { messages } = await consume(reader, { group: groupOf('early'), topics: [topic.name, other.name] });
    const writer = await connect(topic, other);
    await writer.publish([...numbered(topic.name, 'a', 3), ...numbered(other.name, 'b', 3)]);
    await until(() => withoutRepeats(messages).length >= 6, 'every message came');
    expect(new Set(messages.map((one) => one.topic))).toEqual(new Set([topic.name, other.name]));
  });

  test('a failed batch is delivered again before the messages after it, while other partitions continue', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const [bad, good] = await keysApart(broker, topic.name, 2);
    let failing = true;
    const attempts: (string | null)[][] = [];
    const { messages } = await consume(broker, {
      group: groupOf('rejected'),
      topics: [topic.name],
      onBatch: async (batch) => {
        const [first] = batch;
        if (first!.partition !== bad!.partition || !texts(batch).some((text) => text?.startsWith('bad')))
          return;
        attempts.push(texts(batch));
        if (failing) throw new Error('the store is unavailable');
      },
    });
    await broker.publish(numbered(topic.name, bad!.key, 3, 'bad-'));
    await until(() => attempts.length >= 2, 'it failed twice');
    for (let round = 0; round < 3; round += 1) {
      const seen = attempts.length;
      await broker.publish(numbered(topic.name, good!.key, 3, `good-${round}-`));
      await until(() => texts(messages).includes(`good-${round}-2`), 'the other partition continued');
      await until(() => attempts.length > seen, 'it failed again');
    }
    await broker.publish(numbered(topic.name, bad!.key, 2, 'bad-after-'));
    expect(texts(messages).filter((text) => text?.startsWith('bad'))).toEqual([]);
    failing = false;
    await until(() => texts(messages).includes('bad-after-1'), 'every message came');
    expect(texts(withoutRepeats(messages)).filter((text) => text?.startsWith('bad'))).toEqual([
      ...['bad-0', 'bad-1', 'bad-2'],
      ...['bad-after-0', 'bad-after-1'],
    ]);
    // Each attempt starts with the same message.
    expect(new Set(attempts.slice(0, -1).map(([first]) => first)).size).toBe(1);
  });

  test('a slow batch delays no other partition', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const [slow, other] = await keysApart(broker, topic.name, 2);
    const [entered, released] = [gate(), gate()];
    const { messages } = await consume(broker, {
      group: groupOf('slow'),
      topics: [topic.name],
      onBatch: async (batch) => {
        if (!texts(batch).some((text) => text?.startsWith('slow'))) return;
        entered.open();
        await released.opened;
      },
    });
    await broker.publish(numbered(topic.name, slow!.key, 1, 'slow-'));
    await entered.opened;
    try {
      for (let round = 0; round < 3; round += 1) {
        await broker.publish(numbered(topic.name, slow!.key, 1, `slow-after-${round}-`));
        await broker.publish(numbered(topic.name, other!.key, 1, `other-${round}-`));
        await until(
          () => texts(messages).includes(`other-${round}-0`),
          'the other partition continued',
          10_000,
        );
      }
      expect(texts(messages).filter((text) => text?.startsWith('slow'))).toEqual([]);
    } finally {
      released.open();
    }
    await until(() => texts(messages).includes('slow-after-2-0'), 'every message came');
    expect(texts(withoutRepeats(messages)).filter((text) => text?.startsWith('slow'))).toEqual([
      'slow-0',
      ...[0, 1, 2].map((round) => `slow-after-${round}-0`),
    ]);
  });

  test('an offset is committed once its batch is handled, and the next member continues after it', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('commit');
    const positions = await broker.publish(numbered(topic.name, 'one', 30));
    const { partition } = positions[0]!;
    const [entered, released] = [gate(), gate()];
    let batches = 0;
    const first = await consume(await connect(topic), {
      ...{ group, topics: [topic.name], maxBatch: 10 },
      onBatch: async () => {
        batches += 1;
        if (batches === 1) return;
        entered.open();
        await released.opened;
        throw new Error('the second batch fails');
      },
    });
    await entered.opened;
    await until(async () => {
      return (await committedOf(broker, group, topic.name, partition)) === 10n;
    }, 'the first batch is committed');
    const stopped = first.stop();
    released.open();
    await stopped;
    expect(await committedOf(broker, group, topic.name, partition)).toBe(10n);

    const second = await consume(await connect(topic), { group, topics: [topic.name] });
    await until(() => texts(second.messages).includes('29'), 'the rest came');
    expect(texts(withoutRepeats(second.messages))).toEqual(texts(numbered('', null, 30).slice(10)));
  });

  test('stopping finishes and commits the running batch, and delivers no other', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('stop');
    const [position] = await broker.publish(numbered(topic.name, 'one', 20));
    const [entered, released] = [gate(), gate()];
    let [begun, ended] = [0, false];
    const member = await consume(await connect(topic), {
      ...{ group, topics: [topic.name], maxBatch: 5 },
      onBatch: async () => {
        begun += 1;
        entered.open();
        await released.opened;
      },
    });
    await entered.opened;
    const stopped = member.stop().then(() => (ended = true));
    await broker.publish(numbered(topic.name, 'one', 1, 'later-'));
    expect(ended).toBe(false);
    released.open();
    await stopped;
    const committed = await committedOf(broker, group, topic.name, position!.partition);
    expect(committed).toBe(BigInt(member.messages.length));
    expect(member.messages.length).toBe(5);
    await broker.publish(numbered(topic.name, 'one', 1, 'last-'));
    expect(begun).toBe(1);
  });

  test('positions has the offsets of each partition, and none of topics that do not exist', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('positions');
    const absent = topicOf().name;
    await broker.publish(numbered(topic.name, 'one', 7));
    const before = await broker.positions(group, [topic.name, absent]);
    expect(before).toHaveLength(partitionsPerTopic);
    expect(before.every((position) => position.committed === null && position.topic === topic.name)).toBe(
      true,
    );
    expect(before.map(({ end }) => end).filter((end) => end > 0n)).toEqual([7n]);
    expect((await broker.endOffsets([topic.name, absent])).has(absent)).toBe(false);

    await consume(broker, { group, topics: [topic.name] });
    await until(async () => {
      const positions = await broker.positions(group, [topic.name]);
      return positions.some(({ committed }) => committed === 7n);
    }, 'it is committed');
    expect(broker.answers()).toBe(true);
  });
};
