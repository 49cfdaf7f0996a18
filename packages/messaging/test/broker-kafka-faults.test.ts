import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { Broker, OutgoingMessage } from '../src/broker.js';
import { batchOf, describeKafka, distinctTexts, openKafkaBench, topicOf } from './support/kafka-bench.js';

/** Publishes again and again, as the outbox relay does, until the broker accepts. */
const untilPublished = (broker: Broker, messages: readonly OutgoingMessage[]) =>
  until(
    () =>
      broker.publish(messages).then(
        () => true,
        () => false,
      ),
    'a publication resolves',
  );

describeKafka('a Kafka that fails', () => {
  const bench = openKafkaBench();

  // The first test of this Kafka: no partition has a leader yet, and no group a coordinator.
  test('end offsets and group positions can be read from the first moment of a new topic', async () => {
    const topics = Array.from({ length: 8 }, () => topicOf());
    const [broker, other] = [await bench.connect(...topics), await bench.connect(...topics)];
    for (const { name } of topics) {
      const reads: Promise<unknown>[] = [];
      const published = broker
        .publish([{ topic: name, key: 'k', value: Buffer.from('v'), headers: {} }])
        .then(() => reads.push(other.positions(`group.${randomUUID()}`, [name]), other.endOffsets([name])));
      for (let round = 0; round < 5; round += 1) {
        await Promise.all([other.positions('group.one', [name]), other.endOffsets([name])]);
      }
      await published;
      await Promise.all(reads);
      const ends = (await other.endOffsets([name])).get(name) ?? [];
      expect(ends.map(({ offset }) => offset).sort()).toEqual([0n, 0n, 0n, 0n, 0n, 0n, 0n, 1n]);
    }
  });

  test('a Kafka killed under load keeps every message of each publication that resolved, in the order of its key', async () => {
    const topic = topicOf();
    const broker = await bench.connect(topic);
    const { messages } = await bench.consume(broker, topic.name);
    const acknowledged: string[] = [];
    let [running, rejected, round] = [true, 0, 0];
    const load = (async () => {
      while (running) {
        const batch = batchOf(topic.name, String(round), 50);
        round += 1;
        for (let published = false; !published;) {
          try {
            await broker.publish(batch);
            published = true;
          } catch {
            rejected += 1;
          }
        }
        acknowledged.push(...batch.map(({ value }) => String(value)));
      }
    })();
    for (let kill = 0; kill < 2; kill += 1) {
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 500, 'the load runs');
      await bench.kafka().kill();
      await bench.kafka().restart();
    }
    const before = acknowledged.length;
    await until(() => acknowledged.length > before + 500, 'the load runs again');
    running = false;
    await load;
    await until(
      () => distinctTexts(messages).size >= acknowledged.length,
      'every message is delivered',
      45_000,
    );
    expect([...distinctTexts(messages)].sort()).toEqual([...acknowledged].sort());
    // In the order of first deliveries, the rounds of a key never decrease.
    const lastRound = new Map<string, number>();
    for (const text of distinctTexts(messages)) {
      const [messageRound, index] = text.split('-').map(Number);
      const key = String(index! % 20);
      expect(messageRound).toBeGreaterThanOrEqual(lastRound.get(key) ?? 0);
      lastRound.set(key, messageRound!);
    }
    expect(round * 50).toBe(acknowledged.length);
    process.stdout.write(
      `${acknowledged.length} acknowledged, ${messages.length} delivered, ${rejected} rejected\n`,
    );
  }, 120_000);

  test('a broker opens while Kafka is unavailable, rejects publications in time, and works when Kafka returns', async () => {
    const topic = topicOf();
    await bench.kafka().kill();
    const broker = await bench.connect(topic);
    const { messages, stop } = await bench.consume(broker, topic.name);
    await expect(broker.publish(batchOf(topic.name, 'early', 3))).rejects.toThrow();
    await expect(broker.endOffsets([topic.name])).rejects.toThrow();
    expect(broker.answers()).toBe(false);
    await bench.kafka().restart();
    await untilPublished(broker, batchOf(topic.name, 'later', 3));
    await until(() => distinctTexts(messages).size >= 3, 'the messages are delivered');
    expect(broker.answers()).toBe(true);

    await bench.kafka().kill();
    await stop();
    await broker.part.stop();
    await bench.kafka().restart();
  }, 120_000);

  test('after Kafka has lost its log, topics are created again, and running and new members read from the oldest message', async () => {
    const topic = topicOf();
    const broker = await bench.connect(topic);
    const stoppedGroup = `stopped.${randomUUID()}`;
    const running = await bench.consume(broker, topic.name);
    const stopped = await bench.consume(broker, topic.name, stoppedGroup);
    await broker.publish(batchOf(topic.name, 'old', 100));
    await until(
      () => running.messages.length >= 100 && stopped.messages.length >= 100,
      'both groups have all messages',
    );
    await stopped.stop();

    await bench.kafka().kill();
    await bench.kafka().restart({ emptied: true });
    await untilPublished(broker, batchOf(topic.name, 'new', 40));
    const started = await bench.consume(broker, topic.name, stoppedGroup);
    const published = new Set(batchOf('', 'new', 40).map(({ value }) => String(value)));
    await until(
      () => [...published].every((text) => distinctTexts(running.messages).has(text)),
      'the running member has all new messages',
    );
    await until(() => distinctTexts(started.messages).size >= 40, 'the new member has all new messages');
    expect(distinctTexts(started.messages)).toEqual(published);
    const [end] = (await broker.endOffsets([topic.name])).get(topic.name)!.map(({ offset }) => offset);
    expect(end).toBeLessThan(40n);
  }, 120_000);

  test('the publication after a lost response is stored and not discarded as a duplicate', async () => {
    const topic = topicOf();
    const broker = await bench.connect(topic);
    await broker.publish(batchOf(topic.name, 'first', 1));
    const { prototype } = Socket;
    const { port } = bench.kafka();
    const emit = prototype.emit;
    const losing = function (this: Socket, ...args: unknown[]): unknown {
      if (args[0] !== 'data' || this.remotePort !== port) return Reflect.apply(emit, this, args);
      return this.destroy(new Error('the response is lost'));
    };
    prototype.emit = losing as typeof emit;
    try {
      await expect(broker.publish(batchOf(topic.name, 'lost', 1))).rejects.toThrow();
    } finally {
      prototype.emit = emit;
    }
    await broker.publish(batchOf(topic.name, 'next', 1));
    const { messages } = await bench.consume(broker, topic.name);
    await until(() => distinctTexts(messages).has('next-0'), 'the last message is delivered');
    // Kafka has stored the second message: only its response was lost.
    expect(distinctTexts(messages)).toEqual(new Set(['first-0', 'lost-0', 'next-0']));
  });
});
