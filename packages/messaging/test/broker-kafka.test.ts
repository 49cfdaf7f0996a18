import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { MessageRefused } from '../src/broker.js';
import { openKafkaBroker } from '../src/kafka/broker.js';
import { createConnectionState } from '../src/kafka/connection-state.js';
import { openKafkaTopics } from '../src/kafka/topics.js';
import { brokerContract } from './broker-contract.js';
import { batchOf, describeKafka, distinctTexts, openKafkaBench, topicOf } from './support/kafka-bench.js';

test('the broker on Kafka is loaded by Node as it is built', async () => {
  // Jest finds named exports in kafkajs that Node does not find.
  const built = new URL('../dist/kafka/broker.js', import.meta.url).href;
  const script = `import { openKafkaBroker } from ${JSON.stringify(built)}; process.stdout.write(typeof openKafkaBroker);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout).toBe('function');
});

describeKafka('the broker on Kafka', () => {
  const bench = openKafkaBench();

  brokerContract(async () => ({
    open: (options) => openKafkaBroker({ ...options, brokers: bench.kafka().brokers }),
    setPosition: (groupId, topic, { partition, offset }) =>
      bench.withAdmin(async (admin) => {
        await admin.setOffsets({ groupId, topic, partitions: [{ partition, offset: String(offset) }] });
      }),
    // The bench stops Kafka.
    close: async () => undefined,
  }));

  test('consumers use the shortest session that Kafka allows, so that a killed member loses its partitions soon', async () => {
    const topics = openKafkaTopics({
      clientId: 'test',
      brokers: bench.kafka().brokers,
      logger: silentLogger,
      connectionState: createConnectionState(silentLogger),
      topics: [],
    });
    bench.stopAfterTest(topics.stop);
    expect(await topics.sessionMs()).toBe(2_000);
  });

  test('a member sends heartbeats while it handles a long batch, so that it keeps its partitions', async () => {
    const topic = topicOf();
    const broker = await bench.connect(topic);
    await broker.publish(batchOf(topic.name, 'slow', 1));
    const { prototype } = Socket;
    const { port } = bench.kafka();
    const write = prototype.write;
    let heartbeats = 0;
    const counting = function (this: Socket, ...args: unknown[]): unknown {
      const [bytes] = args;
      // After four bytes of length comes the API key of the request; that of a heartbeat is 12.
      if (this.remotePort === port && Buffer.isBuffer(bytes) && bytes.readInt16BE(4) === 12) heartbeats += 1;
      return Reflect.apply(write, this, args);
    };
    prototype.write = counting as typeof write;
    let halfSeconds = 0;
    const onBatch = async () => {
      [heartbeats, halfSeconds] = [0, 0];
      // Counted by this process, because on a busy machine both timers are late.
      const clock = setInterval(() => (halfSeconds += 1), 500);
      await until(() => halfSeconds >= 10, 'five seconds have passed');
      clearInterval(clock);
    };
    const part = broker.subscribe({ group: `slow.${randomUUID()}`, topics: [topic.name], onBatch });
    try {
      await part.start();
      await until(() => halfSeconds >= 10, 'the batch is finished');
    } finally {
      prototype.write = write;
      await part.stop();
    }
    expect(heartbeats).toBeGreaterThanOrEqual(6);
  });

  test('a message larger than the limit of an external topic is refused for good, and a smaller one is published', async () => {
    const topic = topicOf();
    await bench.createExternalTopic(topic.name, { 'max.message.bytes': '2000' });
    const broker = await bench.connect(topic);
    const sized = (bytes: number) => ({
      topic: topic.name,
      key: 'k',
      value: Buffer.alloc(bytes),
      headers: {},
    });
    const large = sized(5_000);
    const refusal: unknown = await broker
      .publish([sized(10), large, sized(10)])
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(MessageRefused);
    expect((refusal as MessageRefused).refused).toBe(large);
    await expect(broker.publish([sized(10)])).resolves.toHaveLength(1);
  });

  test('messages that only together exceed the limit of an external topic are all published, in order', async () => {
    const topic = topicOf();
    await bench.createExternalTopic(topic.name, { 'max.message.bytes': '2000' });
    const broker = await bench.connect(topic);
    const { messages } = await bench.consume(broker, topic.name);
    const sent = batchOf(topic.name, 'x'.repeat(200), 50);
    const positions = await broker.publish(sent);
    expect(positions).toHaveLength(50);
    await until(() => distinctTexts(messages).size >= 50, 'all messages are delivered');
    const stored = new Map(messages.map((one) => [`${one.partition}/${one.offset}`, String(one.value)]));
    expect(positions.map(({ partition, offset }) => stored.get(`${partition}/${offset}`))).toEqual(
      sent.map(({ value }) => String(value)),
    );
  });

  test('a timestamp that no database can store is replaced by the nearest one that can be stored', async () => {
    const topic = topicOf();
    await bench.createExternalTopic(topic.name, {
      'message.timestamp.type': 'CreateTime',
      'message.timestamp.after.max.ms': '9223372036854775807',
    });
    const producer = bench.openExternalClient().producer();
    await producer.connect();
    for (const timestamp of ['9000000000000000', '253402300800000', '-9000000000000000', '1'])
      await producer.send({ topic: topic.name, messages: [{ value: timestamp, timestamp }] });
    await producer.disconnect();
    const broker = await bench.connect(topic);
    const { messages } = await bench.consume(broker, topic.name);
    await until(() => distinctTexts(messages).size >= 4, 'all messages are delivered');
    expect(messages.map(({ appendedAt }) => appendedAt.toJSON())).toEqual([
      '9999-12-31T23:59:59.999Z',
      '9999-12-31T23:59:59.999Z',
      '1970-01-01T00:00:00.000Z',
      '1970-01-01T00:00:00.001Z',
    ]);
  });

  test('messages that other producers compress with gzip, snappy, lz4 or zstd are read', async () => {
    // With these settings, the broker compresses the messages itself, by the Java classes that producers use.
    const compressions = ['gzip', 'snappy', 'lz4', 'zstd'];
    const topics = compressions.map(() => topicOf());
    for (const [index, { name }] of topics.entries()) {
      await bench.createExternalTopic(name, { 'compression.type': compressions[index]! });
    }
    const broker = await bench.connect(...topics);
    const sent = batchOf('', `${'long and '.repeat(20)}${randomUUID()}`, 1_000);
    for (const { name } of topics) await broker.publish(sent.map((message) => ({ ...message, topic: name })));
    for (const { name } of topics) {
      const { messages } = await bench.consume(broker, name);
      await until(() => messages.length >= sent.length, 'all messages are delivered');
      expect(messages.map(({ value }) => String(value))).toEqual(sent.map(({ value }) => String(value)));
    }
  });

  test('a batch that inflates to more than 64 MiB is not delivered, and the log says what to do', async () => {
    const topic = topicOf();
    await bench.createExternalTopic(topic.name, { 'compression.type': 'producer' });
    const producer = bench.openExternalClient().producer();
    await producer.connect();
    const messages = Array.from({ length: 9 }, () => ({ value: Buffer.alloc(8 * 1_048_576) }));
    await producer.send({ topic: topic.name, compression: kafkajs.CompressionTypes.GZIP, messages });
    await producer.disconnect();
    const lines: { readonly level: number; readonly err?: { readonly message: string } }[] = [];
    const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
    const { brokers } = bench.kafka();
    const broker = openKafkaBroker({ clientId: 'test', topics: [topic], logger, brokers });
    bench.stopAfterTest(broker.part.stop);
    const consumed = await bench.consume(broker, topic.name);
    await until(() => lines.some(({ level }) => level === 50), 'the error is logged');
    expect(lines.find(({ level }) => level === 50)?.err?.message).toMatch(/inflates to more than 64 MiB/);
    expect(consumed.messages).toEqual([]);
  });

  test('topics are created with the settings that their retention requires', async () => {
    const [events, states] = [topicOf(), topicOf({ retention: 'compact', maxMessageBytes: 2_000_000 })];
    const broker = await bench.connect(events, states);
    await broker.publish([...batchOf(events.name, 'a', 1), ...batchOf(states.name, 'b', 1)]);
    const settingsOf = (name: string) =>
      bench.withAdmin(async (admin) => {
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }],
        });
        return Object.fromEntries(
          resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
        );
      });
    const week = String(7 * 24 * 3_600_000);
    expect(await settingsOf(events.name)).toMatchObject({
      'cleanup.policy': 'delete',
      'retention.ms': week,
      'message.timestamp.type': 'LogAppendTime',
      // Producers may compress; the broker inflates, and checks the size of the result.
      'compression.type': 'uncompressed',
    });
    expect(await settingsOf(states.name)).toMatchObject({
      'cleanup.policy': 'compact',
      'min.compaction.lag.ms': week,
      'message.timestamp.type': 'LogAppendTime',
    });
  });
});
