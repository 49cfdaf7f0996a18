import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import pg from 'pg';
import { inTransaction } from '@cinegraph/database/transaction';
import { Refusal } from '@cinegraph/service/refusal';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import type { IncomingMessage, SubscriptionOptions } from '../../src/broker.js';
import type { ConsumerDefinition } from '../../src/consumer/consumer.js';
import { listDeadLetters } from '../../src/consumer/dead-letters.js';
import { recordDedupKey } from '../../src/consumer/inbox.js';

const migrations = new URL('../../../../prisma/metadata/migrations/', import.meta.url);

let offsets = 0;

/** A message of the topic `words`, at the next offset of partition 3. */
export const message = (
  value: string | Buffer | null,
  more: Partial<IncomingMessage> = {},
): IncomingMessage => ({
  topic: 'words',
  partition: 3,
  offset: BigInt((offsets += 1)),
  appendedAt: new Date(Date.UTC(2026, 0, 1) + offsets),
  key: null,
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers: {},
  ...more,
});

/**
 * Inserts each word into the table `effect`. Some words fail: `bad: …` and `throw` in the decoder, `refuse`
 * and `break` in the handler; `skip` is ignored.
 */
export const words: ConsumerDefinition<string> = {
  name: 'words',
  topics: ['words'],
  deadLetterTopic: (topic) => `${topic}.dlq`,
  decode: (read) => {
    const dedupKey = recordDedupKey(read);
    const text = read.value?.toString() ?? 'bad: nothing';
    if (text === 'skip') return null;
    if (text === 'throw') throw new Error('the decoder is broken');
    return text.startsWith('bad: ')
      ? { dedupKey, code: 'BAD_WORD', reason: text.slice(5) }
      : { dedupKey, event: text };
  },
  handle: async (tx, events) => {
    await tx.$executeRawUnsafe('INSERT INTO effect (word) SELECT unnest($1::text[])', [
      ...events.filter((word) => word !== 'refuse'),
    ]);
    if (events.includes('break')) throw new Error('relation "secret" is broken');
    return events.map((word) => (word === 'refuse' ? new Refusal('NO_SUCH_WORD', 'Say another.') : null));
  },
};

/** Delivers a batch to a consumer; rejects as its `onBatch` does. */
export type Deliver = (messages: readonly IncomingMessage[]) => Promise<void>;

/** Creates a database for the tests of a file, and a new pool and empty tables for each test. */
export const openConsumerDatabase = () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  beforeAll(async () => {
    database = await testDatabase({ name: 'consumer', migrations });
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    pool = new pg.Pool({ connectionString: database.url, max: 8, connectionTimeoutMillis: 2_000 });
    pool.on('error', () => undefined);
    await pool.query('CREATE TABLE IF NOT EXISTS effect (id bigint GENERATED ALWAYS AS IDENTITY, word text)');
    await pool.query('TRUNCATE effect, inbox, dead_letter, outbox');
  });
  afterEach(() => pool.end());

  return {
    pool: () => pool,
    /** Runs `work` with a consumer to which only `work` delivers batches. */
    consuming: async (
      definition: ConsumerDefinition<string>,
      work: (deliver: Deliver, subscribed: SubscriptionOptions) => Promise<void>,
    ) => {
      const { deliver, subscribed, stop } = await openDeliveries({ subgraph: 'sub', pool }, definition);
      try {
        await work(deliver, subscribed);
      } finally {
        await stop();
      }
    },
    /** The words in the table `effect`, in the order of their insertion. */
    effects: async () => {
      const { rows } = await pool.query<{ word: string }>('SELECT word FROM effect ORDER BY id');
      return rows.map(({ word }) => word);
    },
    /** The open dead letters, newest first. */
    letters: () => inTransaction(pool, (tx) => listDeadLetters(tx, { limit: 1_000 })),
  };
};
