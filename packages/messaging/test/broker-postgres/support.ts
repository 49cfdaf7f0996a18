import { afterAll, afterEach, beforeAll } from '@jest/globals';
import type pg from 'pg';
import type { Logger } from '@cinegraph/service/logger';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import type { Broker, IncomingMessage, OutgoingMessage } from '../../src/broker.js';
import type { TopicDefinition } from '../../src/envelope.js';
import { openPostgresBroker } from '../../src/postgres/broker.js';

export const migrations = new URL('../../../../prisma/events/migrations/', import.meta.url);

/** A topic with retention by time. */
export const orders: TopicDefinition = { name: 'shop.orders.v1', retention: 'time' };

/** A compacted topic. */
export const prices: TopicDefinition = { name: 'shop.prices.v1', retention: 'compact' };

/** A message to publish, to `orders` by default. */
export const message = (
  text: string | null,
  key: string | null = 'one',
  { name: topic } = orders,
): OutgoingMessage => ({ topic, key, headers: {}, value: text === null ? null : Buffer.from(text) });

/** Opens brokers and consumers that are stopped after each test of the file, in reverse order. */
export const openClients = () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  return {
    stops,
    connect: async (url: string, logger: Logger = silentLogger): Promise<Broker> => {
      const broker = openPostgresBroker({ url, clientId: 'test', topics: [orders, prices], logger });
      await broker.part.start();
      stops.push(broker.part.stop);
      return broker;
    },
    /** Consumes `orders`; `texts` grows by the values of the messages. */
    consume: async (broker: Broker, group: string) => {
      const texts: (string | undefined)[] = [];
      const part = broker.subscribe({
        group,
        topics: [orders.name],
        onBatch: async (messages: readonly IncomingMessage[]) => {
          texts.push(...messages.map(({ value }) => value?.toString()));
        },
      });
      await part.start();
      stops.push(part.stop);
      return { texts, stop: part.stop };
    },
  };
};

/** Creates a migrated event database for the tests of a file, and a pool on it. */
export const openEventDatabase = () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  beforeAll(async () => {
    database = await testDatabase({ name: 'events', migrations });
    pool = testPool(database.url);
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });
  return { url: () => database.url, pool: () => pool };
};

/** Waits until the group has committed the end of every partition of `orders`. */
export const allCommitted = (broker: Broker, group: string): Promise<void> =>
  until(async () => {
    const positions = await broker.positions(group, [orders.name]);
    return positions.every(({ committed, end }) => (committed ?? 0n) === end);
  }, `the group ${group} has committed all messages`);
