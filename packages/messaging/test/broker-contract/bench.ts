import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type {
  Broker,
  BrokerOptions,
  IncomingMessage,
  OutgoingMessage,
  RecordPosition,
  SubscriptionOptions,
} from '../../src/broker.js';
import type { TopicDefinition } from '../../src/envelope.js';

/** A broker that the contract is tested against. */
export interface BrokerUnderTest {
  /** Opens a client, as another process would; what one client publishes, the others consume. */
  readonly open: (tools: BrokerOptions) => Broker;
  /** Commits an offset for a group without members. */
  readonly setPosition: (group: string, topic: string, position: RecordPosition) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Creates a promise, and the function that resolves it. */
export const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
};

export const textOf = ({ value }: { readonly value: Buffer | null }) => value?.toString() ?? null;

/** Returns `count` messages with one key and the values `<prefix>0`, `<prefix>1`, …. */
export const numbered = (topic: string, key: string | null, count: number, prefix = ''): OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ topic, key, headers: {} },
    value: Buffer.from(`${prefix}${index}`),
  }));

export const texts = (messages: readonly { readonly value: Buffer | null }[]) => messages.map(textOf);

/** Returns each message once, in the order of its first delivery. */
export const withoutRepeats = (messages: readonly IncomingMessage[]): readonly IncomingMessage[] =>
  [
    ...new Map(
      [...messages].reverse().map((one) => [`${one.topic}/${one.partition}/${one.offset}`, one]),
    ).values(),
  ].reverse();

/** Opens what the tests of the contract use; whatever a test starts is stopped after it. */
export const openBench = (setUp: () => Promise<BrokerUnderTest>) => {
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
    retention: 'time',
    ...definition,
  });

  /** Starts a client, which is stopped after the test. */
  const connect = async (...topics: readonly TopicDefinition[]): Promise<Broker> => {
    const logger = silentLogger;
    const broker = underTest.open({ clientId: 'contract', topics, logger });
    await broker.part.start();
    stops.push(broker.part.stop);
    return broker;
  };

  /** Consumes until `stop` or the end of the test; `messages` are those of the handled batches. */
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

  /** Returns keys of different partitions, with their partitions. */
  const keysApart = async (broker: Broker, topic: string, count: number) => {
    const keys = Array.from({ length: 64 }, (_, index) => `key-${index}`);
    const positions = await broker.publish(
      keys.map((key) => ({ topic, key, value: Buffer.from('probe'), headers: {} })),
    );
    const byPartition = new Map(positions.map(({ partition }, index) => [partition, keys[index]!]));
    expect(byPartition.size).toBeGreaterThanOrEqual(count);
    return [...byPartition].slice(0, count).map(([partition, key]) => ({ partition, key }));
  };

  return {
    topicOf,
    connect,
    consume,
    groupOf,
    committedOf,
    keysApart,
    setPosition: (group: string, topic: string, position: RecordPosition) =>
      underTest.setPosition(group, topic, position),
  };
};

/** The result of {@link openBench}. */
export type Bench = ReturnType<typeof openBench>;
