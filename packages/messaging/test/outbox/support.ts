import { afterEach, beforeEach } from '@jest/globals';
import type pg from 'pg';
import { createLogger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { createTestBroker, type SentMessage, type TestBroker } from '@cinegraph/testing/broker';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { until } from '@cinegraph/testing/until';
import { MessageRefused, type OutgoingMessage } from '../../src/broker.js';
import { createEnvelopeReader, isEnvelopeFault } from '../../src/envelope.js';
import { outboxMigrations } from '../../src/migrations.js';
import { createOutboxRelay } from '../../src/outbox/relay.js';

const secret = 'the secret of the tests of the outbox relay';
export const topic = 'orders.states.v1';

/** What a test of the relay works with. {@link useOutbox} replaces all of it before each test. */
interface OutboxWorld {
  database: TestDatabase;
  pool: pg.Pool;
  broker: TestBroker;
  /** What the relays have logged. */
  lines: { level: string; msg: string }[];
  /** The relays to stop after the test. */
  relays: Part[];
}

export const outbox = {} as OutboxWorld;

/** Gives each test of the file a new database with an empty outbox, and a new broker. */
export const useOutbox = (): void => {
  beforeEach(async () => {
    const database = await testDatabase({ name: 'outbox', migrations: [outboxMigrations] });
    const pool = testPool(database.url);
    Object.assign(outbox, { database, pool, broker: createTestBroker(), lines: [], relays: [] });
  });
  afterEach(async () => {
    for (const relay of outbox.relays.splice(0)) await relay.stop();
    await outbox.pool.end();
    await outbox.database.drop();
  });
};

const logger = () => {
  const log = createLogger({ name: 'orders', level: 'info' });
  return Object.assign(log, {
    child: () => ({
      ...log,
      info: (_facts: unknown, msg: string) => outbox.lines.push({ level: 'info', msg }),
      warn: (_facts: unknown, msg: string) => outbox.lines.push({ level: 'warn', msg }),
      error: (_facts: unknown, msg: string) => outbox.lines.push({ level: 'error', msg }),
    }),
  });
};

export const startRelay = async (over: TestBroker = outbox.broker): Promise<Part> => {
  const relay = createOutboxRelay({
    pool: outbox.pool,
    broker: over,
    producer: 'orders',
    secret,
    logger: logger(),
  });
  outbox.relays.push(relay);
  await relay.start();
  return relay;
};

/** Appends events of `keys` keys, numbered from 1, in one statement. */
export const append = (count: number, keys = 7, client: pg.Pool | pg.ClientBase = outbox.pool) =>
  client.query(
    `INSERT INTO messaging.outbox (type, topic, key, payload)
     SELECT 'OrderPlaced', $1, 'key' || n % $3, jsonb_build_object('n', n) FROM generate_series(1, $2::int) n`,
    [topic, count, keys],
  );

export const unpublished = async (): Promise<number> => {
  const { rows } = await outbox.pool.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM messaging.outbox WHERE published_at IS NULL',
  );
  return rows[0]?.n ?? 0;
};
export const drained = () => until(async () => (await unpublished()) === 0, 'all is published');

const read = createEnvelopeReader(secret);
export const eventOf = (message: SentMessage) => {
  const { headers, ...rest } = message;
  const envelope = read({
    ...rest,
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  });
  if (isEnvelopeFault(envelope)) throw new Error(envelope.reason);
  return envelope;
};
export const idsOf = (sent: readonly SentMessage[]) => sent.map((message) => eventOf(message).id);
export const outboxIds = async (): Promise<readonly string[]> => {
  const { rows } = await outbox.pool.query<{ event_id: string }>(
    'SELECT event_id FROM messaging.outbox_event ORDER BY position, ordinal',
  );
  return rows.map(({ event_id: id }) => id);
};

/** Throws as a broker does that will never accept one of the messages. */
export const refuse = (
  messages: readonly OutgoingMessage[],
  isRefused: (one: OutgoingMessage) => boolean,
) => {
  const refused = messages.find(isRefused);
  if (refused) throw new MessageRefused('it is too large', refused);
};

/** Appends a bundle of events of `keys` keys, numbered from `from`. */
export const appendBundle = (count: number, { keys = 7, from = 1 } = {}) =>
  outbox.pool.query(
    `INSERT INTO messaging.outbox (type, topic, size, events)
     SELECT 'OrderPlaced', $1, $2, json_agg(json_build_object('key', 'key' || n % $3, 'trace', NULL, 'data', json_build_object('n', n)))
     FROM generate_series($4::int, $4::int + $2::int - 1) n`,
    [topic, count, keys, from],
  );
export const numbersOf = (sent: readonly SentMessage[]) =>
  sent.map((message) => (eventOf(message).data as { n: number }).n);
export const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
