import { expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { partitionsPerTopic, type IncomingMessage } from '../../src/broker.js';
import { gate, numbered, texts, withoutRepeats, type Bench } from './bench.js';

/** What every broker keeps for groups that consume. */
export const consumingContract = (bench: Bench): void => {
  const { topicOf, connect, consume, groupOf, committedOf, keysApart, setPosition } = bench;

  test('a group that never committed begins with the oldest message, and each group gets all', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    await broker.publish(numbered(topic.name, 'one', 5));
    const groups = await Promise.all(
      ['a', 'b'].map((name) => consume(broker, { group: groupOf(name), topics: [topic.name] })),
    );
    await broker.publish(numbered(topic.name, 'one', 5, 'later-'));
    for (const { messages } of groups) {
      await until(() => withoutRepeats(messages).length >= 10, 'all came');
      expect(texts(withoutRepeats(messages))).toEqual(
        texts([...numbered('', null, 5), ...numbered('', null, 5, 'later-')]),
      );
    }
  });

  test('a position beyond the end of its partition goes on with the oldest message that there is', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('beyond');
    const [place] = await broker.publish(numbered(topic.name, 'one', 5));
    await setPosition(group, topic.name, { ...place!, offset: 20n });
    const { messages } = await consume(broker, { group, topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 5, 'what is there came');
    await broker.publish(numbered(topic.name, 'one', 30, 'later-'));
    await until(() => texts(messages).includes('later-29'), 'all came');
    expect(texts(withoutRepeats(messages))).toEqual(
      texts([...numbered('', null, 5), ...numbered('', null, 30, 'later-')]),
    );
  });

  test('a consumer may be there before its topic', async () => {
    const [topic, other] = [topicOf(), topicOf()];
    const reader = await connect(topic, other);
    const { messages } = await consume(reader, { group: groupOf('early'), topics: [topic.name, other.name] });
    const writer = await connect(topic, other);
    await writer.publish([...numbered(topic.name, 'a', 3), ...numbered(other.name, 'b', 3)]);
    await until(() => withoutRepeats(messages).length >= 6, 'all came');
    expect(new Set(messages.map((one) => one.topic))).toEqual(new Set([topic.name, other.name]));
  });

  test('a rejected batch comes again, the same and before what follows, while other partitions go on', async () => {
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
        if (failing) throw new Error('the store is away');
      },
    });
    await broker.publish(numbered(topic.name, bad!.key, 3, 'bad-'));
    await until(() => attempts.length >= 2, 'it failed twice');
    for (let round = 0; round < 3; round += 1) {
      const seen = attempts.length;
      await broker.publish(numbered(topic.name, good!.key, 3, `good-${round}-`));
      await until(() => texts(messages).includes(`good-${round}-2`), 'the other partition went on');
      await until(() => attempts.length > seen, 'it failed again');
    }
    await broker.publish(numbered(topic.name, bad!.key, 2, 'bad-behind-'));
    expect(texts(messages).filter((text) => text?.startsWith('bad'))).toEqual([]);
    failing = false;
    await until(() => texts(messages).includes('bad-behind-1'), 'all came');
    expect(texts(withoutRepeats(messages)).filter((text) => text?.startsWith('bad'))).toEqual([
      ...['bad-0', 'bad-1', 'bad-2'],
      ...['bad-behind-0', 'bad-behind-1'],
    ]);
    // Each attempt begins with the message that the first one began with.
    expect(new Set(attempts.slice(0, -1).map(([first]) => first)).size).toBe(1);
  });

  test('a batch that takes long keeps no other partition waiting', async () => {
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
        await broker.publish(numbered(topic.name, slow!.key, 1, `slow-behind-${round}-`));
        await broker.publish(numbered(topic.name, other!.key, 1, `other-${round}-`));
        await until(
          () => texts(messages).includes(`other-${round}-0`),
          'the other partition went on',
          10_000,
        );
      }
      expect(texts(messages).filter((text) => text?.startsWith('slow'))).toEqual([]);
    } finally {
      released.open();
    }
    await until(() => texts(messages).includes('slow-behind-2-0'), 'all came');
    expect(texts(withoutRepeats(messages)).filter((text) => text?.startsWith('slow'))).toEqual([
      'slow-0',
      ...[0, 1, 2].map((round) => `slow-behind-${round}-0`),
    ]);
  });

  test('an offset is committed when its batch is done, not before; the next member goes on behind it', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('commit');
    const places = await broker.publish(numbered(topic.name, 'one', 30));
    const { partition } = places[0]!;
    const [entered, released] = [gate(), gate()];
    let batches = 0;
    const first = await consume(await connect(topic), {
      ...{ group, topics: [topic.name], maxBatch: 10 },
      onBatch: async () => {
        batches += 1;
        if (batches === 1) return;
        entered.open();
        await released.opened;
        throw new Error('died in the middle');
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

  test('stop finishes and commits the batch under way, and nothing comes after it', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('stop');
    const [place] = await broker.publish(numbered(topic.name, 'one', 20));
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
    const committed = await committedOf(broker, group, topic.name, place!.partition);
    expect(committed).toBe(BigInt(member.messages.length));
    expect(member.messages.length).toBe(5);
    await broker.publish(numbered(topic.name, 'one', 1, 'last-'));
    expect(begun).toBe(1);
  });

  test('members of a group share the partitions, one at a time has each, and the last one takes over all', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = groupOf('share');
    const busy = new Set<number>();
    const clashes: number[] = [];
    const handled: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => {
      const { partition } = batch[0]!;
      if (busy.has(partition)) clashes.push(partition);
      busy.add(partition);
      await new Promise((resolve) => setImmediate(resolve));
      handled.push(...batch);
      busy.delete(partition);
    };
    const join = async () =>
      consume(await connect(topic), { group, topics: [topic.name], maxBatch: 20, onBatch });
    let published = 0;
    /** Publishes for all partitions until `holds`, and waits until all of it was handled. */
    const waves = async (what: string, holds: () => boolean) => {
      await until(async () => {
        const keys = Array.from({ length: 80 }, (_, index) => `key-${index}`);
        await broker.publish(
          keys.map((key) => ({ topic: topic.name, key, value: Buffer.from(String(published)), headers: {} })),
        );
        published += 80;
        return holds();
      }, what);
      await until(() => withoutRepeats(handled).length >= published, 'every message was handled');
    };

    const [first, second] = [await join(), await join()];
    await waves('both have partitions', () => first.messages.length > 0 && second.messages.length > 0);
    const partitionsOf = (messages: readonly IncomingMessage[]) =>
      new Set(messages.map((one) => one.partition));
    const mark = [first.messages.length, second.messages.length] as const;
    await waves('both go on', () => first.messages.length > mark[0] && second.messages.length > mark[1]);
    const [ofFirst, ofSecond] = [
      partitionsOf(first.messages.slice(mark[0])),
      partitionsOf(second.messages.slice(mark[1])),
    ];
    expect([...ofFirst].filter((partition) => ofSecond.has(partition))).toEqual([]);

    await first.stop();
    const before = second.messages.length;
    await waves('the other one has every partition', () => {
      return partitionsOf(second.messages.slice(before)).size === partitionsPerTopic;
    });
    expect(clashes).toEqual([]);
    expect(withoutRepeats(handled)).toHaveLength(published);
    for (let partition = 0; partition < partitionsPerTopic; partition += 1) {
      const offsets = withoutRepeats(handled).filter((one) => one.partition === partition);
      expect(offsets.map(({ offset }) => offset)).toEqual(offsets.map((_, index) => BigInt(index)));
    }
  });

  test('a batch under way while another member joins is done once in peace, and none is left out', async () => {
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
    }, 'all came');
    await until(
      async () =>
        (await broker.positions(group, [topic.name])).every(
          ({ committed, end }) => (committed ?? 0n) === end,
        ),
      'all is committed',
    );
    // By a repeat only ever the whole batch that was under way comes again.
    expect(first.messages.length + second.messages.length).toBeLessThanOrEqual(2 * sent.length);
  });

  test('positions tell where a group is, and nothing of topics that do not exist', async () => {
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
