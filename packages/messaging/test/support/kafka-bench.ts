import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe } from '@jest/globals';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { kafkaMissing, startTestKafka } from '@cinegraph/testing/kafka';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type { Broker, IncomingMessage, OutgoingMessage } from '../../src/broker.js';
import type { TopicDefinition } from '../../src/envelope.js';
import { openKafkaBroker } from '../../src/kafka/broker.js';

/** A `describe` that is skipped where there is no Kafka to start. */
export const describeKafka = kafkaMissing() === undefined ? describe : describe.skip;

/**
 * Starts one Kafka for the tests of the surrounding `describe`, each of which uses its own topics and groups.
 * Brokers and consumers that a test opens are stopped after it.
 */
export const openKafkaBench = () => {
  let kafka: KafkaServer;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    kafka = await startTestKafka();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  afterAll(() => kafka.stop());

  const connect = async (...topics: readonly TopicDefinition[]): Promise<Broker> => {
    const { brokers } = kafka;
    const broker = openKafkaBroker({ clientId: 'test', topics, logger: silentLogger, brokers });
    await broker.part.start();
    stops.push(broker.part.stop);
    return broker;
  };

  const consume = async (broker: Broker, topic: string, group = `test.${randomUUID()}`) => {
    const messages: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => void messages.push(...batch);
    const part = broker.subscribe({ group, topics: [topic], onBatch });
    await part.start();
    let stopped: Promise<void> | undefined;
    const stop = () => (stopped ??= part.stop());
    stops.push(stop);
    return { messages, stop };
  };

  /** A client of kafkajs, as another application would use it. */
  const openExternalClient = () => new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });

  const withAdmin = async <Result>(use: (admin: Admin) => Promise<Result>): Promise<Result> => {
    const admin = openExternalClient().admin();
    await admin.connect();
    try {
      return await use(admin);
    } finally {
      await admin.disconnect();
    }
  };

  /** Creates a topic with one partition, as another application would. */
  const createExternalTopic = (topic: string, settings: Readonly<Record<string, string>>) =>
    withAdmin(async (admin) => {
      const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
      const topics = [{ topic, numPartitions: 1, configEntries }];
      await admin.createTopics({ waitForLeaders: true, topics });
    });

  return {
    kafka: () => kafka,
    stopAfterTest: (stop: () => Promise<void>) => void stops.push(stop),
    connect,
    consume,
    openExternalClient,
    withAdmin,
    createExternalTopic,
  };
};

/** A topic of its own for one test. */
export const topicOf = (definition: Partial<TopicDefinition> = {}): TopicDefinition => ({
  name: `test.${randomUUID()}.v1`,
  retention: 'time',
  ...definition,
});

/** Returns the distinct values: a message may be delivered twice. */
export const distinctTexts = (messages: readonly IncomingMessage[]): ReadonlySet<string> =>
  new Set(messages.map(({ value }) => String(value)));

/** Returns `count` messages `<prefix>-0`, `<prefix>-1`, … with twenty different keys. */
export const batchOf = (topic: string, prefix: string, count: number): OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => ({
    topic,
    key: `key-${index % 20}`,
    headers: {},
    value: Buffer.from(`${prefix}-${index}`),
  }));
