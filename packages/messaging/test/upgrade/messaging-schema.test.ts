import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { migrate, migrateAll, type MigrationSet } from '@cinegraph/database/migrate';
import { inTransaction } from '@cinegraph/database/transaction';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { listDeadLetters } from '../../src/consumer/dead-letters.js';
import { recordDedupKey } from '../../src/consumer/inbox.js';
import { brokerMigrations, inboxMigrations, outboxMigrations } from '../../src/migrations.js';
import { backfill } from '../../src/outbox/backfill.js';
import { listParked } from '../../src/outbox/parked.js';
import { createOutboxRelay } from '../../src/outbox/relay.js';
import { openClients, orders } from '../broker-postgres/support.js';
import { message, words } from '../consumer/support.js';
import { migrationsBefore, parkedTable, prismaMigrations } from './support.js';

const moved = '20261128000000_messaging_schema';
const init = '20261128000000_init';
const settings = '20261128120000_consumer_settings';

/** The event database as its migrations made it when the tables were in the schema `public`. */
const eventsInPublic: MigrationSet = { migrations: new URL('event-database-in-public/', import.meta.url) };

const closing: (() => Promise<unknown>)[] = [];
const cleanUp = async () => {
  for (const close of closing.splice(0).reverse()) await close();
};

const open = async (name: string, migrations: readonly MigrationSet[]) => {
  const database: TestDatabase = await testDatabase({ name, migrations });
  const pool = testPool(database.url);
  closing.push(database.drop, () => pool.end());
  return { url: database.url, pool };
};

/** Opens a database of the subgraph from before its queue tables moved to the schema `messaging`. */
const openOld = async (subgraph: 'metadata' | 'rating') => {
  const before = await migrationsBefore(prismaMigrations(subgraph), moved);
  closing.push(before.remove);
  return open('upgrade', [before.set]);
};

const rowsOf = async (pool: pg.Pool, tables: readonly string[]) =>
  Promise.all(
    tables.map(async (table) => (await pool.query<object>(`SELECT * FROM ${table} ORDER BY 1, 2`)).rows),
  );

describe('a database from before the schema messaging', () => {
  const clients = openClients();
  let subgraph: { url: string; pool: pg.Pool };
  let events: { url: string; pool: pg.Pool };
  const seen = message('known');

  beforeAll(async () => {
    subgraph = await openOld('rating');
    await subgraph.pool.query(
      `INSERT INTO outbox (type, topic, key, payload, published_at, published_partitions, aside_at)
       VALUES ('OrderPlaced', $1, 'there', '{}', now(), '{3}', NULL),
         ('OrderPlaced', $1, 'parked', '{}', now(), '{-1}', now()),
         ('OrderPlaced', $1, 'waits', '{}', NULL, NULL, NULL)`,
      [orders.name],
    );
    await subgraph.pool.query(
      `INSERT INTO outbox (type, topic, size, events, published_partitions)
       VALUES ('OrderPlaced', $1, 2, '[{"key": "one", "data": {}}, {"key": "two", "data": {}}]', '{3, NULL}')`,
      [orders.name],
    );
    await subgraph.pool.query(`INSERT INTO outbox_end VALUES ($1, 3, 2)`, [orders.name]);
    await subgraph.pool.query(`INSERT INTO announcement VALUES ('catalogue', 'behind b')`);
    await subgraph.pool.query(`INSERT INTO inbox (consumer, identity) VALUES ('words', $1)`, [
      recordDedupKey(seen),
    ]);
    await subgraph.pool.query(
      `INSERT INTO dead_letter (consumer, identity, topic, partition, "offset", appended_at, headers, code, reason, state)
       VALUES ('words', 'a', 'words', 0, 1, now(), '{}', 'BAD_WORD', 'no', 'open'),
         ('words', 'b', 'words', 0, 2, now(), '{}', 'BAD_WORD', 'no', 'replayed')`,
    );

    events = await open('events', [eventsInPublic]);
    await events.pool.query(`INSERT INTO topic VALUES ($1, 8, 'happenings')`, [orders.name]);
    await events.pool.query(
      `INSERT INTO partition_end SELECT $1, n, CASE n WHEN 3 THEN 2 ELSE 0 END FROM generate_series(0, 7) n`,
      [orders.name],
    );
    await events.pool.query(
      `INSERT INTO message SELECT $1, 3, n, now(), 'k', convert_to('old ' || n, 'UTF8'), '{}' FROM generate_series(0, 1) n`,
      [orders.name],
    );
    await events.pool.query(`INSERT INTO group_position VALUES ('shop', $1, 3, 1)`, [orders.name]);
  });
  afterAll(cleanUp);

  it('is moved with every row of the outbox, the inbox, the dead letters and the backfill', async () => {
    const { pool, url } = subgraph;
    const old = ['outbox', 'outbox_event', 'outbox_end', 'announcement', 'inbox', 'dead_letter'];
    const before = await rowsOf(pool, old);
    // The column `place` of the view has another name now.
    before[1] =
      before[1]?.map((row) => {
        const { place, ...rest } = row as { readonly place: number };
        return { ...rest, ordinal: place };
      }) ?? [];
    const moving = await migrationsBefore(outboxMigrations, parkedTable);
    closing.push(moving.remove);
    const own = await migrationsBefore(prismaMigrations('rating'), `${moved}_`);
    closing.push(own.remove);
    const sets = [own.set, moving.set, inboxMigrations];
    expect(await migrateAll(url, sets)).toEqual([moved, init, init, settings]);
    const current = old.map((table) => `messaging.${table === 'announcement' ? 'backfill' : table}`);
    expect(await rowsOf(pool, current)).toEqual(before);
    expect(before.map((rows) => rows.length)).toEqual([4, 5, 1, 1, 1, 2]);
    expect(await migrateAll(url, sets)).toEqual([]);
    expect(await migrate({ url, ...outboxMigrations })).toEqual([parkedTable]);
  });

  it('is moved with every message and committed offset of the PostgreSQL broker', async () => {
    const { pool, url } = events;
    const old = ['topic', 'partition_end', 'message', 'group_position'];
    const before = await rowsOf(pool, old);
    expect(await migrate({ url, ...brokerMigrations })).toEqual([init]);
    expect(
      await rowsOf(
        pool,
        old.map((table) => `messaging.${table}`),
      ),
    ).toEqual(before);
    expect(before.map((rows) => rows.length)).toEqual([1, 8, 2, 1]);
  });

  it('is refused by older code, which would start with an empty log', async () => {
    await expect(migrate({ url: events.url, ...eventsInPublic })).rejects.toThrow(
      'The database is newer than this code',
    );
  });

  it('lets the relay and a consumer group continue where they were', async () => {
    const broker = await clients.connect(events.url);
    const { texts } = await clients.consume(broker, 'shop');
    const { pool } = subgraph;
    const relay = createOutboxRelay({
      ...{ pool, broker, producer: 'orders', secret: undefined, logger: silentLogger },
    });
    await relay.start();
    clients.stops.push(relay.stop);
    await until(() => texts.length === 4, 'the group has the messages that it had not read');
    const keys = texts.slice(1).map((text) => (JSON.parse(text ?? '') as { key: string }).key);
    expect([texts[0], ...keys.toSorted()]).toEqual(['old 1', 'one', 'two', 'waits']);
    await until(async () => {
      const { rowCount } = await pool.query('SELECT FROM messaging.outbox WHERE published_at IS NULL');
      return rowCount === 0;
    }, 'the outbox is empty');
    expect(await listParked(pool, 10)).toMatchObject({ count: 1, entries: [{ name: '2', key: 'parked' }] });
    const { rows } = await pool.query(
      `INSERT INTO messaging.outbox (type, topic, key, payload) VALUES ('OrderPlaced', $1, 'new', '{}')
       RETURNING position`,
      [orders.name],
    );
    expect(rows).toEqual([{ position: '5' }]);
    await until(() => texts.length === 5, 'the group has the new event');
  });

  it('lets a consumer recognize messages it has consumed, keep its dead letters, and a backfill continue', async () => {
    const { pool } = subgraph;
    await pool.query('CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, word text)');
    const consumer = await openDeliveries({ subgraph: 'sub', pool }, words);
    await consumer.deliver([seen, message('new')]);
    await consumer.stop();
    expect((await pool.query('SELECT word FROM effect')).rows).toEqual([{ word: 'new' }]);
    expect(await inTransaction(pool, (tx) => listDeadLetters(tx, { limit: 10 }))).toMatchObject([
      { id: '1' },
    ]);
    const definition = {
      ...{ subgraph: 'sub', migrations: [], topic: 'catalogue', items: 'words' },
      keys: `SELECT key FROM unnest(ARRAY['a', 'b', 'c']) AS key WHERE key > $1 ORDER BY key LIMIT $2`,
      append: 'INSERT INTO effect (word) SELECT unnest($1::text[])',
    };
    expect(await backfill(pool, definition)).toBe(1);
    expect((await pool.query('SELECT word FROM effect ORDER BY id')).rows).toEqual([
      { word: 'new' },
      { word: 'c' },
    ]);
  });
});

describe('the schema messaging', () => {
  afterEach(cleanUp);

  it('has the same definitions in a moved and in a new database', async () => {
    const old = await openOld('rating');
    await migrateAll(old.url, [prismaMigrations('rating'), outboxMigrations, inboxMigrations]);
    const fresh = await open('upgrade', [outboxMigrations, inboxMigrations]);
    expect(await definitionsOf(old.pool)).toEqual(await definitionsOf(fresh.pool));
    const oldEvents = await open('upgrade', [eventsInPublic]);
    await migrate({ url: oldEvents.url, ...brokerMigrations });
    const freshEvents = await open('upgrade', [brokerMigrations]);
    expect(await definitionsOf(oldEvents.pool)).toEqual(await definitionsOf(freshEvents.pool));
  });

  it('has no tables of a consumer in a database of a subgraph that consumes nothing', async () => {
    const { pool, url } = await openOld('metadata');
    await migrateAll(url, [prismaMigrations('metadata'), outboxMigrations]);
    const { rows } = await pool.query<{ name: string }>(
      `SELECT schemaname || '.' || tablename AS name FROM pg_tables
       WHERE tablename ~ 'outbox|inbox|dead_letter|backfill|announcement' ORDER BY 1`,
    );
    expect(rows.map(({ name }) => name)).toEqual([
      'messaging.backfill',
      'messaging.outbox',
      'messaging.outbox_end',
      'messaging.outbox_migrations',
      'messaging.outbox_parked',
    ]);
  });
});

/**
 * The columns, constraints, indexes, triggers and views of the schema `messaging`, as PostgreSQL writes them.
 */
const definitionsOf = async (pool: pg.Pool): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ definition: string }>(`
    SELECT definition FROM (
      SELECT format('%s.%s %s %s %s %s %s', table_name,
        rank() OVER (PARTITION BY table_name ORDER BY ordinal_position), column_name, data_type, is_nullable,
        column_default, is_identity) AS definition
        FROM information_schema.columns WHERE table_schema = 'messaging'
      UNION ALL
      SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'messaging'::regnamespace AND contype <> 'n'
      UNION ALL
      SELECT indexdef FROM pg_indexes WHERE schemaname = 'messaging'
      UNION ALL
      SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'messaging'::regnamespace AND NOT tgisinternal
      UNION ALL
      SELECT format('%s %s %s %s', relname, relkind, reloptions, pg_get_viewdef(oid))
        FROM pg_class WHERE relnamespace = 'messaging'::regnamespace AND relkind IN ('r', 'v', 'S')
      UNION ALL
      SELECT format('%s.%s is stored %s', relname, attname, attstorage) FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'messaging'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'messaging'::regnamespace
    ) AS all_definitions ORDER BY definition`);
  return rows.map(({ definition }) => definition);
};
