import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { MessageRefused, type Broker, type IncomingMessage, type OutgoingMessage } from '../src/broker.js';
import type { TopicDefinition } from '../src/envelope.js';
import { openKafkaBroker } from '../src/kafka/broker.js';
import { createConnectionState } from '../src/kafka/connection-state.js';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { openKafkaTopics } from '../src/kafka/topics.js';
import { kafkaMissing, startTestKafka } from '@cinegraph/testing/kafka';
import kafkajs, { Kafka, logLevel } from 'kafkajs';
import { pino } from 'pino';
import { brokerContract } from './broker-contract.js';

const suite = kafkaMissing() === undefined ? describe : describe.skip;

suite('the broker on Kafka', () => {
  brokerContract(async () => {
    const kafka = await startTestKafka();
    return {
      open: (tools) => openKafkaBroker({ ...tools, brokers: kafka.brokers }),
      setPosition: async (groupId, topic, { partition, offset }) => {
        const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
        await admin.connect();
        await admin.setOffsets({ groupId, topic, partitions: [{ partition, offset: String(offset) }] });
        await admin.disconnect();
      },
      close: kafka.stop,
    };
  });
});

test('the broker on Kafka is loaded by Node as it is built', async () => {
  // Jest finds names in kafkajs that Node does not.
  const built = new URL('../dist/kafka/broker.js', import.meta.url).href;
  const script = `import { openKafkaBroker } from ${JSON.stringify(built)}; process.stdout.write(typeof openKafkaBroker);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout).toBe('function');
});

suite('a Kafka that fails', () => {
  let kafka: KafkaServer;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    kafka = await startTestKafka();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  afterAll(() => kafka.stop());

  const topicOf = (definition: Partial<TopicDefinition> = {}): TopicDefinition => ({
    name: `faults.${randomUUID()}.v1`,
    retention: 'time',
    ...definition,
  });

  const connect = async (...topics: readonly TopicDefinition[]): Promise<Broker> => {
    const logger = silentLogger;
    const broker = openKafkaBroker({ clientId: 'faults', topics, logger, brokers: kafka.brokers });
    await broker.part.start();
    stops.push(broker.part.stop);
    return broker;
  };

  const consume = async (broker: Broker, group: string, topic: string) => {
    const messages: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => void messages.push(...batch);
    const part = broker.subscribe({ group, topics: [topic], onBatch });
    await part.start();
    let stopped: Promise<void> | undefined;
    const stop = () => (stopped ??= part.stop());
    stops.push(stop);
    return { messages, stop };
  };

  const texts = (messages: readonly IncomingMessage[]) => new Set(messages.map(({ value }) => String(value)));

  const batchOf = (topic: string, prefix: string, count: number): OutgoingMessage[] =>
    Array.from({ length: count }, (_, index) => ({
      ...{ topic, key: `key-${index % 20}`, headers: {} },
      value: Buffer.from(`${prefix}-${index}`),
    }));

  // The first of this broker: nothing is led and no group is cared for before.
  test('that has only just started tells where topics and groups are from their first moment', async () => {
    const topics = Array.from({ length: 8 }, () => topicOf());
    const [broker, other] = [await connect(...topics), await connect(...topics)];
    for (const { name } of topics) {
      const asked = [] as Promise<unknown>[];
      const looking = broker
        .publish([{ topic: name, key: 'k', value: Buffer.from('v'), headers: {} }])
        .then(() => asked.push(other.positions(`group.${randomUUID()}`, [name]), other.endOffsets([name])));
      for (let looks = 0; looks < 5; looks += 1) {
        await Promise.all([other.positions('group.one', [name]), other.endOffsets([name])]);
      }
      await looking;
      await Promise.all(asked);
      const ends = (await other.endOffsets([name])).get(name) ?? [];
      expect(ends.map(({ offset }) => offset).sort()).toEqual([0n, 0n, 0n, 0n, 0n, 0n, 0n, 1n]);
    }
  });

  test('is asked for the shortest session that it allows, so that a killed member does not keep its partitions for long', async () => {
    const logger = silentLogger;
    const connectionState = createConnectionState(logger);
    const topics = openKafkaTopics({
      ...{ clientId: 'faults', brokers: kafka.brokers, logger, connectionState },
      topics: [],
    });
    stops.push(topics.stop);
    expect(await topics.sessionMs()).toBe(2_000);
  });

  test('hears of a member whose batch takes long all the while, so that it keeps its partitions', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    await broker.publish(batchOf(topic.name, 'slow', 1));
    const { prototype } = Socket;
    const write = prototype.write;
    let beats = 0;
    const counting = function (this: Socket, ...args: unknown[]): unknown {
      const [bytes] = args;
      // Behind the length: 12 is Kafka's number of a heartbeat.
      if (this.remotePort === kafka.port && Buffer.isBuffer(bytes) && bytes.readInt16BE(4) === 12) beats += 1;
      return Reflect.apply(write, this, args);
    };
    prototype.write = counting as typeof write;
    let halfSeconds = 0;
    const onBatch = async () => {
      [beats, halfSeconds] = [0, 0];
      // As this process has the time to see them: on a busy machine all comes later.
      const clock = setInterval(() => (halfSeconds += 1), 500);
      await until(() => halfSeconds >= 10, 'five seconds');
      clearInterval(clock);
    };
    const part = broker.subscribe({ group: `slow.${randomUUID()}`, topics: [topic.name], onBatch });
    try {
      await part.start();
      await until(() => halfSeconds >= 10, 'the batch is over');
    } finally {
      prototype.write = write;
      await part.stop();
    }
    expect(beats).toBeGreaterThanOrEqual(6);
  });

  test('killed under load and started again, it has every message of every publication that resolved, each key in order', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const { messages } = await consume(broker, `kill.${randomUUID()}`, topic.name);
    const acknowledged: string[] = [];
    let [running, rejected, round] = [true, 0, 0];
    const load = (async () => {
      while (running) {
        const batch = batchOf(topic.name, String(round), 50);
        round += 1;
        // As the relay does it: the same again until it resolves.
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
      await kafka.kill();
      await kafka.restart();
    }
    const before = acknowledged.length;
    await until(() => acknowledged.length > before + 500, 'the load runs again');
    running = false;
    await load;
    await until(() => texts(messages).size >= acknowledged.length, 'all came', 45_000);
    expect([...texts(messages)].sort()).toEqual([...acknowledged].sort());
    // The first time that each is seen: rounds of a key only ever grow.
    const lastRound = new Map<string, number>();
    for (const text of texts(messages)) {
      const [of, index] = text.split('-').map(Number);
      const key = String(index! % 20);
      expect(of).toBeGreaterThanOrEqual(lastRound.get(key) ?? 0);
      lastRound.set(key, of!);
    }
    expect(round * 50).toBe(acknowledged.length);
    process.stdout.write(
      `${acknowledged.length} acknowledged, ${messages.length} seen, ${rejected} rejected\n`,
    );
  }, 120_000);

  test('away at the start, it is waited for: the service starts, publications are refused in time, and then all goes on', async () => {
    const topic = topicOf();
    await kafka.kill();
    const broker = await connect(topic);
    const { messages, stop } = await consume(broker, `away.${randomUUID()}`, topic.name);
    await expect(broker.publish(batchOf(topic.name, 'early', 3))).rejects.toThrow();
    await expect(broker.endOffsets([topic.name])).rejects.toThrow();
    expect(broker.answers()).toBe(false);
    await kafka.restart();
    await until(
      () =>
        broker.publish(batchOf(topic.name, 'later', 3)).then(
          () => true,
          () => false,
        ),
      'a publication resolves',
    );
    await until(() => texts(messages).size >= 3, 'it came');
    expect(broker.answers()).toBe(true);

    await kafka.kill();
    await stop();
    await broker.part.stop();
    await kafka.restart();
  }, 120_000);

  test('a log that is lost begins anew: topics are made again, and running and new members read from the oldest', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    const group = `lost.${randomUUID()}`;
    const running = await consume(broker, group, topic.name);
    const stoppedGroup = `stopped.${randomUUID()}`;
    const stopped = await consume(broker, stoppedGroup, topic.name);
    await broker.publish(batchOf(topic.name, 'old', 100));
    await until(() => running.messages.length >= 100 && stopped.messages.length >= 100, 'all came');
    await stopped.stop();

    await kafka.kill();
    await kafka.restart({ emptied: true });
    await until(
      () =>
        broker.publish(batchOf(topic.name, 'new', 40)).then(
          () => true,
          () => false,
        ),
      'a publication resolves',
    );
    const after = await consume(broker, stoppedGroup, topic.name);
    const news = new Set(batchOf('', 'new', 40).map(({ value }) => String(value)));
    await until(
      () => [...news].every((text) => texts(running.messages).has(text)),
      'the running member has all',
    );
    await until(() => texts(after.messages).size >= 40, 'the new member has all');
    expect(texts(after.messages)).toEqual(news);
    const [end] = (await broker.endOffsets([topic.name])).get(topic.name)!.map(({ offset }) => offset);
    expect(end).toBeLessThan(40n);
  }, 120_000);

  test('after an answer that was lost, what is published next is kept and not taken for a repetition', async () => {
    const topic = topicOf();
    const broker = await connect(topic);
    await broker.publish(batchOf(topic.name, 'first', 1));
    const { prototype } = Socket;
    const emit = prototype.emit;
    const losing = function (this: Socket, ...args: unknown[]): unknown {
      if (args[0] !== 'data' || this.remotePort !== kafka.port) return Reflect.apply(emit, this, args);
      return this.destroy(new Error('the answer is lost'));
    };
    prototype.emit = losing as typeof emit;
    try {
      await expect(broker.publish(batchOf(topic.name, 'lost', 1))).rejects.toThrow();
    } finally {
      prototype.emit = emit;
    }
    await broker.publish(batchOf(topic.name, 'next', 1));
    const { messages } = await consume(broker, `answer.${randomUUID()}`, topic.name);
    await until(() => texts(messages).has('next-0'), 'all came');
    // The broker had it: only its answer was lost.
    expect(texts(messages)).toEqual(new Set(['first-0', 'lost-0', 'next-0']));
  });

  test('what a topic of others is too small for is refused for ever, and what it has room for is taken', async () => {
    const topic = topicOf();
    const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const configEntries = [{ name: 'max.message.bytes', value: '2000' }];
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic: topic.name, numPartitions: 1, configEntries }],
    });
    await admin.disconnect();
    const broker = await connect(topic);
    const sized = (bytes: number) => ({
      topic: topic.name,
      key: 'k',
      value: Buffer.alloc(bytes),
      headers: {},
    });
    await expect(broker.publish([sized(10), sized(5_000)])).rejects.toBeInstanceOf(MessageRefused);
    await expect(broker.publish([sized(10)])).resolves.toHaveLength(1);
  });

  test('a time that no database can store comes as the nearest one that it can', async () => {
    const topic = topicOf();
    const kafkaJs = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
    const admin = kafkaJs.admin();
    await admin.connect();
    // As others make a topic: with the times of its producers, whatever they are.
    const configEntries = [
      { name: 'message.timestamp.type', value: 'CreateTime' },
      { name: 'message.timestamp.after.max.ms', value: '9223372036854775807' },
    ];
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic: topic.name, numPartitions: 1, configEntries }],
    });
    await admin.disconnect();
    const producer = kafkaJs.producer();
    await producer.connect();
    for (const timestamp of ['9000000000000000', '253402300800000', '-9000000000000000', '1'])
      await producer.send({ topic: topic.name, messages: [{ value: timestamp, timestamp }] });
    await producer.disconnect();
    const broker = await connect(topic);
    const { messages } = await consume(broker, `times.${randomUUID()}`, topic.name);
    await until(() => texts(messages).size >= 4, 'all came');
    expect(messages.map(({ appendedAt }) => appendedAt.toJSON())).toEqual([
      ...['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
      ...['1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.001Z'],
    ]);
  });

  /** A topic as others make it, with one partition. */
  const createTopic = async (name: string, settings: Readonly<Record<string, string>>) => {
    const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const configEntries = Object.entries(settings).map(([setting, value]) => ({ name: setting, value }));
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic: name, numPartitions: 1, configEntries }],
    });
    await admin.disconnect();
  };

  test('what others compress is read: the broker itself, by the Java classes of producers, compresses it here', async () => {
    const kinds = ['gzip', 'snappy', 'lz4', 'zstd'];
    const topics = kinds.map(() => topicOf());
    for (const [index, { name }] of topics.entries()) {
      await createTopic(name, { 'compression.type': kinds[index]! });
    }
    const broker = await connect(...topics);
    const sent = batchOf('', `${'long and '.repeat(20)}${randomUUID()}`, 1_000);
    for (const { name } of topics) await broker.publish(sent.map((message) => ({ ...message, topic: name })));
    for (const { name } of topics) {
      const { messages } = await consume(broker, `kind.${randomUUID()}`, name);
      await until(() => messages.length >= sent.length, 'all came');
      expect(messages.map(({ value }) => String(value))).toEqual(sent.map(({ value }) => String(value)));
    }
  });

  test('a batch that inflates to more than there is memory for is not read, and the log says what to do', async () => {
    const topic = topicOf();
    await createTopic(topic.name, { 'compression.type': 'producer' });
    const producer = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    const messages = Array.from({ length: 9 }, () => ({ value: Buffer.alloc(8 * 1_048_576) }));
    await producer.send({ topic: topic.name, compression: kafkajs.CompressionTypes.GZIP, messages });
    await producer.disconnect();
    const lines: { readonly level: number; readonly err?: { readonly message: string } }[] = [];
    const write = (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]);
    const logger = pino({}, { write });
    const broker = openKafkaBroker({ clientId: 'faults', topics: [topic], logger, brokers: kafka.brokers });
    stops.push(broker.part.stop);
    const consumed = await consume(broker, `large.${randomUUID()}`, topic.name);
    await until(() => lines.some(({ level }) => level === 50), 'it is said');
    expect(lines.find(({ level }) => level === 50)?.err?.message).toMatch(/inflates to more than 64 MiB/);
    expect(consumed.messages).toEqual([]);
  });

  test('topics have the settings that their kind needs', async () => {
    const [happenings, states] = [topicOf(), topicOf({ retention: 'compact', maxMessageBytes: 2_000_000 })];
    const broker = await connect(happenings, states);
    await broker.publish([...batchOf(happenings.name, 'a', 1), ...batchOf(states.name, 'b', 1)]);
    const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const settingsOf = async (name: string) => {
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }],
      });
      return Object.fromEntries(
        resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
      );
    };
    const week = String(7 * 24 * 3_600_000);
    expect(await settingsOf(happenings.name)).toMatchObject({
      'cleanup.policy': 'delete',
      'retention.ms': week,
      'message.timestamp.type': 'LogAppendTime',
      // Whatever its producers compress with: what it inflates to is bounded at the broker.
      'compression.type': 'uncompressed',
    });
    expect(await settingsOf(states.name)).toMatchObject({
      'cleanup.policy': 'compact',
      'min.compaction.lag.ms': week,
      'message.timestamp.type': 'LogAppendTime',
    });
    await admin.disconnect();
  });
});
