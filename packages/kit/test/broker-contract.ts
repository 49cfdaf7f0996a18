import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import {
  MessageRefused,
  partitionsPerTopic,
  type Broker,
  type BrokerTools,
  type IncomingMessage,
  type OutgoingMessage,
  type SubscriptionOptions,
} from '@cinegraph/kit/broker';
import type { TopicDefinition } from '@cinegraph/kit/envelope';
import { createLogger } from '@cinegraph/kit/logger';

/** A broker to hold against the contract. */
export interface BrokerUnderTest {
  /** Opens a client of it, as a process of its own would; what one publishes, the others consume. */
  readonly open: (tools: BrokerTools) => Broker;
  readonly close: () => Promise<void>;
}

/** Resolves once `holds` does, asked again and again; after half a minute it throws, with `what` was waited for. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> => {
  const end = performance.now() + seconds * 1_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** A promise, and the function that resolves it. */
const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
};

const textOf = ({ value }: { readonly value: Buffer | null }) => value?.toString() ?? null;

/** `<n>` messages `<prefix>0`, `<prefix>1`, … of one key. */
const numbered = (topic: string, key: string | null, count: number, prefix = ''): OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ topic, key, headers: {} },
    value: Buffer.from(`${prefix}${index}`),
  }));

const texts = (messages: readonly { readonly value: Buffer | null }[]) => messages.map(textOf);

/** In order of the first time that each was seen: a message may come twice. */
const withoutRepeats = (messages: readonly IncomingMessage[]): readonly IncomingMessage[] =>
  [
    ...new Map(
      [...messages].reverse().map((one) => [`${one.topic}/${one.partition}/${one.offset}`, one]),
    ).values(),
  ].reverse();

/**
 * What every broker keeps, as tests: call it within a `describe` of the file that knows how one is set up. The tests take topics
 * and groups of their own, so one broker serves them all.
 */
export const brokerContract = (setUp: () => Promise<BrokerUnderTest>): void => {
  let underTest: BrokerUnderTest;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    underTest = await setUp();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  afterAll(() => underTest.close());

  const topicOf = (definition: Partial<TopicDefinition> = {}): TopicDefinition => ({
    name: `contract.${randomUUID()}.v1`,
    keeps: 'happenings',
    ...definition,
  });

  /** Starts a client of its own, which ends with the test. */
  const connect = async (...topics: readonly TopicDefinition[]): Promise<Broker> => {
    const logger = createLogger({ name: 'contract', level: 'silent' });
    const broker = underTest.open({ clientId: 'contract', topics, logger });
    await broker.part.start();
    stops.push(broker.part.stop);
    return broker;
  };

  /** Consumes until the test ends, or `stop`; `messages` are those of batches that were handled. */
  const consume = async (
    broker: Broker,
    options: Omit<SubscriptionOptions, 'onBatch'> & { onBatch?: SubscriptionOptions['onBatch'] },
  ) => {
    const messages: IncomingMessage[] = [];
    const batches: number[] = [];
    const part = broker.subscribe({
      ...options,
      onBatch: async (batch) => {
        await options.onBatch?.(batch);
        messages.push(...batch);
        batches.push(batch.length);
      },
    });
    await part.start();
    let stopped: Promise<void> | undefined;
    const stop = () => (stopped ??= part.stop());
    stops.push(stop);
    return { messages, batches, stop };
  };

  const groupOf = (name: string) => `${name}.${randomUUID()}`;

  const committedOf = async (broker: Broker, group: string, topic: string, partition: number) =>
    (await broker.positions(group, [topic])).find((position) => position.partition === partition)?.committed;

  /** Keys of which no two share a partition, with their partitions. */
  const keysApart = async (broker: Broker, topic: string, count: number) => {
    const keys = Array.from({ length: 64 }, (_, index) => `key-${index}`);
    const places = await broker.publish(
      keys.map((key) => ({ topic, key, value: Buffer.from('probe'), headers: {} })),
    );
    const byPartition = new Map(places.map(({ partition }, index) => [partition, keys[index]!]));
    expect(byPartition.size).toBeGreaterThanOrEqual(count);
    return [...byPartition].slice(0, count).map(([partition, key]) => ({ partition, key }));
  };

  test('a message is found at the place that its publication answered', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const outgoing = Array.from({ length: 50 }, (_, index) =>
      numbered(topic.name, `k${index}`, 3, `k${index}-`),
    );
    const sent = outgoing.flat();
    const places = await broker.publish(sent);
    expect(places).toHaveLength(sent.length);

    const { messages } = await consume(broker, { group: groupOf('places'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(messages).length >= sent.length);
    const found = new Map(messages.map((one) => [`${one.partition}/${one.offset}`, textOf(one)]));
    expect(places.map(({ partition, offset }) => found.get(`${partition}/${offset}`))).toEqual(texts(sent));
  });

  test('a publication without messages is none', async () => {
    const broker = await connect(topicOf());
    expect(await broker.publish([])).toEqual([]);
  });

  test('messages of one key stay in one partition and in order, over many publications', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    // No multiple of the number of partitions: going round them would look like order.
    const keys = Array.from({ length: 41 }, (_, index) => `key-${index}`);
    const placesOfKey = new Map<string, Set<number>>();
    for (let round = 0; round < 10; round += 1) {
      const places = await broker.publish(
        keys.map((key) => ({ topic: topic.name, key, value: Buffer.from(String(round)), headers: {} })),
      );
      for (const [index, { partition }] of places.entries()) {
        const key = keys[index]!;
        placesOfKey.set(key, (placesOfKey.get(key) ?? new Set()).add(partition));
      }
    }
    expect([...placesOfKey.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set([...placesOfKey.values()].flatMap((set) => [...set])).size).toBeGreaterThan(1);

    const { messages } = await consume(broker, { group: groupOf('order'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(messages).length >= 410);
    for (const key of keys) {
      const ofKey = withoutRepeats(messages).filter((one) => one.key?.toString() === key);
      expect(texts(ofKey)).toEqual(Array.from({ length: 10 }, (_, round) => String(round)));
    }
  });

  test('publications that are not awaited one by one are all there, each key in order', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const publications = Array.from({ length: 20 }, (_, round) =>
      broker.publish(numbered(topic.name, 'one', 5, `${round}-`)),
    );
    await Promise.all(publications);
    const { messages } = await consume(broker, { group: groupOf('parallel'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(messages).length >= 100);
    const expected = Array.from({ length: 20 }, (_, round) =>
      texts(numbered('', null, 5, `${round}-`)),
    ).flat();
    expect(texts(withoutRepeats(messages))).toEqual(expected);
  });

  test('what was published is counted in the ends as soon as the publication resolves', async () => {
    const topic = topicOf();
    const [writer, reader] = [await connect(topic), await connect(topic)];
    for (let count = 10; count <= 50; count += 10) {
      await writer.publish(numbered(topic.name, null, 10));
      const ends = (await reader.ends([topic.name])).get(topic.name);
      expect(ends).toHaveLength(partitionsPerTopic);
      expect(ends!.reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(count);
    }
  });

  test('keys, values and headers survive as bytes; null stays null and empty stays empty', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const before = Date.now();
    const places = await broker.publish([
      { topic: topic.name, key: 'kéy', value: everyByte, headers: { signature: 'säfe', empty: '' } },
      { topic: topic.name, key: 'kéy', value: null, headers: {} },
      { topic: topic.name, key: 'kéy', value: Buffer.alloc(0), headers: {} },
      { topic: topic.name, key: null, value: Buffer.from('no key'), headers: {} },
      { topic: topic.name, key: '', value: Buffer.from('empty key'), headers: {} },
    ]);
    const { messages } = await consume(broker, { group: groupOf('bytes'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(messages).length >= 5);
    const [full, gone, empty, keyless, emptyKey] = places.map(({ partition, offset }) =>
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

  test('a message that its topic does not take is refused, and the next one is published', async () => {
    const topic = topicOf({ maxMessageBytes: 10_000 });
    const broker = await connect(topic);
    const message = (bytes: number) => [
      { topic: topic.name, key: 'large', value: Buffer.alloc(bytes), headers: {} },
    ];
    await expect(broker.publish(message(10_001))).rejects.toThrow(MessageRefused);
    expect(await broker.publish(message(9_900))).toMatchObject([{ offset: 0n }]);
  });

  test('messages far larger together than one of them may be are published at once', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const outgoing = numbered(topic.name, 'large', 40).map((message) => ({
      ...message,
      value: Buffer.alloc(200_000, message.value!),
    }));
    const places = await broker.publish(outgoing);
    expect(places.map(({ offset }) => offset)).toEqual(outgoing.map((_, index) => BigInt(index)));
    const { messages } = await consume(broker, { group: groupOf('large'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(messages).length >= 40);
    expect(withoutRepeats(messages).every(({ value }, i) => value!.equals(outgoing[i]!.value))).toBe(true);
  });

  test('ten thousand messages are one publication, and come in batches of thousands, never more than wished', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const sent = numbered(topic.name, 'one', 10_000);
    expect(await broker.publish(sent)).toHaveLength(10_000);

    const large = await consume(broker, { group: groupOf('large'), topics: [topic.name] });
    await until('all came', () => withoutRepeats(large.messages).length >= 10_000);
    expect(texts(withoutRepeats(large.messages))).toEqual(texts(sent));
    expect(Math.max(...large.batches)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...large.batches)).toBeLessThanOrEqual(5_000);

    const small = await consume(broker, { group: groupOf('small'), topics: [topic.name], maxBatch: 70 });
    await until('all came', () => withoutRepeats(small.messages).length >= 10_000);
    expect(texts(withoutRepeats(small.messages))).toEqual(texts(sent));
    expect(Math.max(...small.batches)).toBe(70);
  });

  test('a group that never committed begins with the oldest message, and each group gets all', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    await broker.publish(numbered(topic.name, 'one', 5));
    const groups = await Promise.all(
      ['a', 'b'].map((name) => consume(broker, { group: groupOf(name), topics: [topic.name] })),
    );
    await broker.publish(numbered(topic.name, 'one', 5, 'later-'));
    for (const { messages } of groups) {
      await until('all came', () => withoutRepeats(messages).length >= 10);
      expect(texts(withoutRepeats(messages))).toEqual(
        texts([...numbered('', null, 5), ...numbered('', null, 5, 'later-')]),
      );
    }
  });

  test('a consumer may be there before its topic', async () => {
    const [topic, other] = [topicOf(), topicOf()];
    const reader = await connect(topic, other);
    const { messages } = await consume(reader, { group: groupOf('early'), topics: [topic.name, other.name] });
    const writer = await connect(topic, other);
    await writer.publish([...numbered(topic.name, 'a', 3), ...numbered(other.name, 'b', 3)]);
    await until('all came', () => withoutRepeats(messages).length >= 6);
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
    await until('it failed twice', () => attempts.length >= 2);
    for (let round = 0; round < 3; round += 1) {
      const seen = attempts.length;
      await broker.publish(numbered(topic.name, good!.key, 3, `good-${round}-`));
      await until('the other partition went on', () => texts(messages).includes(`good-${round}-2`));
      await until('it failed again', () => attempts.length > seen);
    }
    await broker.publish(numbered(topic.name, bad!.key, 2, 'bad-behind-'));
    expect(texts(messages).filter((text) => text?.startsWith('bad'))).toEqual([]);
    failing = false;
    await until('all came', () => texts(messages).includes('bad-behind-1'));
    expect(texts(withoutRepeats(messages)).filter((text) => text?.startsWith('bad'))).toEqual([
      ...['bad-0', 'bad-1', 'bad-2'],
      ...['bad-behind-0', 'bad-behind-1'],
    ]);
    // Each attempt begins with the message that the first one began with.
    expect(new Set(attempts.slice(0, -1).map(([first]) => first)).size).toBe(1);
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
    await until('the first batch is committed', async () => {
      return (await committedOf(broker, group, topic.name, partition)) === 10n;
    });
    const stopped = first.stop();
    released.open();
    await stopped;
    expect(await committedOf(broker, group, topic.name, partition)).toBe(10n);

    const second = await consume(await connect(topic), { group, topics: [topic.name] });
    await until('the rest came', () => texts(second.messages).includes('29'));
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
      await until(what, async () => {
        const keys = Array.from({ length: 80 }, (_, index) => `key-${index}`);
        await broker.publish(
          keys.map((key) => ({ topic: topic.name, key, value: Buffer.from(String(published)), headers: {} })),
        );
        published += 80;
        return holds();
      });
      await until('every message was handled', () => withoutRepeats(handled).length >= published);
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
    await until('all came', () => {
      return withoutRepeats([...first.messages, ...second.messages]).length >= sent.length;
    });
    await until('all is committed', async () =>
      (await broker.positions(group, [topic.name])).every(({ committed, end }) => (committed ?? 0n) === end),
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
    expect((await broker.ends([topic.name, absent])).has(absent)).toBe(false);

    await consume(broker, { group, topics: [topic.name] });
    await until('it is committed', async () => {
      const positions = await broker.positions(group, [topic.name]);
      return positions.some(({ committed }) => committed === 7n);
    });
    expect(broker.answers()).toBe(true);
  });
};
