import { expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { MessageRefused, partitionsPerTopic } from '../../src/broker.js';
import { textOf, numbered, texts, withoutRepeats, type Bench } from './bench.js';

/** What every broker guarantees for published messages. */
export const publishingContract = (bench: Bench): void => {
  const { topicOf, connect, consume, groupOf } = bench;

  test('a message is consumed at the position that its publication returned', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const outgoing = Array.from({ length: 50 }, (_, index) =>
      numbered(topic.name, `k${index}`, 3, `k${index}-`),
    );
    const sent = outgoing.flat();
    const positions = await broker.publish(sent);
    expect(positions).toHaveLength(sent.length);

    const { messages } = await consume(broker, { group: groupOf('positions'), topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= sent.length, 'every message came');
    const found = new Map(messages.map((one) => [`${one.partition}/${one.offset}`, textOf(one)]));
    expect(positions.map(({ partition, offset }) => found.get(`${partition}/${offset}`))).toEqual(
      texts(sent),
    );
  });

  test('publishing no messages returns no positions', async () => {
    const broker = await connect(topicOf());
    expect(await broker.publish([])).toEqual([]);
  });

  test('messages with one key stay in one partition and in order, over many publications', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    // Not a multiple of the number of partitions: assigning keys in turn would look like order.
    const keys = Array.from({ length: 41 }, (_, index) => `key-${index}`);
    const partitionsOfKey = new Map<string, Set<number>>();
    for (let round = 0; round < 10; round += 1) {
      const positions = await broker.publish(
        keys.map((key) => ({ topic: topic.name, key, value: Buffer.from(String(round)), headers: {} })),
      );
      for (const [index, { partition }] of positions.entries()) {
        const key = keys[index]!;
        partitionsOfKey.set(key, (partitionsOfKey.get(key) ?? new Set()).add(partition));
      }
    }
    expect([...partitionsOfKey.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set([...partitionsOfKey.values()].flatMap((set) => [...set])).size).toBeGreaterThan(1);

    const { messages } = await consume(broker, { group: groupOf('order'), topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 410, 'every message came');
    for (const key of keys) {
      const ofKey = withoutRepeats(messages).filter((one) => one.key?.toString() === key);
      expect(texts(ofKey)).toEqual(Array.from({ length: 10 }, (_, round) => String(round)));
    }
  });

  test('concurrent publications of one client are all appended, in the order of the calls', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const publications = Array.from({ length: 20 }, (_, round) =>
      broker.publish(numbered(topic.name, 'one', 5, `${round}-`)),
    );
    await Promise.all(publications);
    const { messages } = await consume(broker, { group: groupOf('parallel'), topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 100, 'every message came');
    const expected = Array.from({ length: 20 }, (_, round) =>
      texts(numbered('', null, 5, `${round}-`)),
    ).flat();
    expect(texts(withoutRepeats(messages))).toEqual(expected);
  });

  test('the end offsets include a publication as soon as it resolves', async () => {
    const topic = topicOf();
    const [writer, reader] = [await connect(topic), await connect(topic)];
    for (let count = 10; count <= 50; count += 10) {
      await writer.publish(numbered(topic.name, null, 10));
      const ends = (await reader.endOffsets([topic.name])).get(topic.name);
      expect(ends).toHaveLength(partitionsPerTopic);
      expect(ends!.reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(count);
    }
  });

  test('keys, values and headers keep their bytes, and null stays different from empty', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const before = Date.now();
    const positions = await broker.publish([
      { topic: topic.name, key: 'kéy', value: everyByte, headers: { signature: 'säfe', empty: '' } },
      { topic: topic.name, key: 'kéy', value: null, headers: {} },
      { topic: topic.name, key: 'kéy', value: Buffer.alloc(0), headers: {} },
      { topic: topic.name, key: null, value: Buffer.from('no key'), headers: {} },
      { topic: topic.name, key: '', value: Buffer.from('empty key'), headers: {} },
    ]);
    const { messages } = await consume(broker, { group: groupOf('bytes'), topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 5, 'every message came');
    const [full, gone, empty, keyless, emptyKey] = positions.map(({ partition, offset }) =>
      messages.find((one) => one.partition === partition && one.offset === offset),
    );
    expect(full!.key?.toString()).toBe('kéy');
    expect(full!.value?.equals(everyByte)).toBe(true);
    expect(
      Object.fromEntries(Object.entries(full!.headers).map(([name, value]) => [name, value.toString()])),
    ).toEqual({ signature: 'säfe', empty: '' });
    expect(full!.topic).toBe(topic.name);
    expect(Math.abs(full!.appendedAt.getTime() - before)).toBeLessThan(60_000);
    expect(gone!.value).toBeNull();
    expect(gone!.headers).toEqual({});
    expect(empty!.value).toHaveLength(0);
    expect(keyless!.key).toBeNull();
    expect(emptyKey!.key).toHaveLength(0);
  });

  test('a message larger than its topic accepts is refused by name, and the next one is published', async () => {
    const topic = topicOf({ maxMessageBytes: 10_000 });
    const broker = await connect(topic);
    const message = (bytes: number) => [
      { topic: topic.name, key: 'large', value: Buffer.alloc(bytes), headers: {} },
    ];
    const [large] = message(10_001);
    const refusal: unknown = await broker
      .publish([...message(10), large!, ...message(10)])
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(MessageRefused);
    expect((refusal as MessageRefused).refused).toBe(large);
    expect(await broker.publish(message(9_900))).toMatchObject([{ offset: 0n }]);
  });

  test('messages that are together far larger than the limit of one are published at once', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const outgoing = numbered(topic.name, 'large', 40).map((message) => ({
      ...message,
      value: Buffer.alloc(200_000, message.value!),
    }));
    const positions = await broker.publish(outgoing);
    expect(positions.map(({ offset }) => offset)).toEqual(outgoing.map((_, index) => BigInt(index)));
    const { messages } = await consume(broker, { group: groupOf('large'), topics: [topic.name] });
    await until(() => withoutRepeats(messages).length >= 40, 'every message came');
    expect(withoutRepeats(messages).every(({ value }, i) => value!.equals(outgoing[i]!.value))).toBe(true);
  });

  test('ten thousand messages are published at once, and delivered in batches of at most maxBatch', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const sent = numbered(topic.name, 'one', 10_000);
    expect(await broker.publish(sent)).toHaveLength(10_000);

    const large = await consume(broker, { group: groupOf('large'), topics: [topic.name] });
    await until(() => withoutRepeats(large.messages).length >= 10_000, 'every message came');
    expect(texts(withoutRepeats(large.messages))).toEqual(texts(sent));
    expect(Math.max(...large.batches)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...large.batches)).toBeLessThanOrEqual(5_000);

    const small = await consume(broker, { group: groupOf('small'), topics: [topic.name], maxBatch: 70 });
    await until(() => withoutRepeats(small.messages).length >= 10_000, 'every message came');
    expect(texts(withoutRepeats(small.messages))).toEqual(texts(sent));
    expect(Math.max(...small.batches)).toBe(70);
  });
};
