import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { migrate } from '@cinegraph/database/migrate';
import { createTestBroker } from '@cinegraph/testing/broker';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { outboxMigrations } from '../../src/migrations.js';
import { listParked, resendParked } from '../../src/outbox/parked.js';
import { createOutboxRelay } from '../../src/outbox/relay.js';
import { migrationsBefore, parkedTable } from './support.js';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  const before = await migrationsBefore(outboxMigrations, parkedTable);
  database = await testDatabase({ name: 'upgrade', migrations: [before.set] });
  await before.remove();
  pool = testPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const ids = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => `0199c0de-0000-7000-8000-${String(from + at).padStart(12, '0')}`);
const bundle = (...keys: readonly string[]) =>
  JSON.stringify(keys.map((key) => ({ key, trace: `trace of ${key}`, data: { of: key } })));

/** Fills the outbox with every kind of row that the relay could leave when each event had a partition. */
const fill = async () => {
  await pool.query(`
    INSERT INTO messaging.outbox (type, version, topic, key, payload, trace, published_at, published_partitions, aside_at)
    VALUES ('Placed', 2, 'out', 'waits', '{}', NULL, NULL, NULL, NULL),
      ('Placed', 2, 'out', 'there', '{}', NULL, now(), '{3}', NULL),
      ('Placed', 2, 'out', 'parked', '{"of": "parked"}', 'a trace', now(), '{-1}', '2026-11-21T12:00:00Z'),
      ('Placed', 2, 'out', 'opened', '{}', NULL, NULL, '{NULL}', NULL)`);
  await pool.query(`
    INSERT INTO messaging.outbox (topic, key, value, headers, published_at, published_partitions, aside_at)
    VALUES ('in.dlq', NULL, 'waits', '{"code": "BAD"}', NULL, NULL, NULL),
      ('in.dlq', NULL, 'parked', '{"code": "BAD"}', now(), '{-1}', now())`);
  const bundles = [
    { keys: ['b-waits-1', 'b-waits-2'], partitions: null, published: false },
    { keys: ['b-there-1', 'b-there-2'], partitions: [3, 4], published: true },
    { keys: ['part-1', 'part-2', 'part-3'], partitions: [3, null, -1], published: false },
    { keys: ['some-1', 'some-2', 'some-3'], partitions: [-1, 5, -1], published: true },
    { keys: ['all-1', 'all-2'], partitions: [-1, -1], published: true },
    { keys: ['single'], partitions: [-1], published: true },
  ];
  for (const [index, { keys, partitions, published }] of bundles.entries()) {
    await pool.query(
      `INSERT INTO messaging.outbox (event_id, type, topic, size, events, published_at, published_partitions, aside_at)
       VALUES ($1, 'Placed', 'out', $2, $3, CASE WHEN $4 THEN now() END, $5::integer[],
         CASE WHEN -1 = ANY ($5::integer[]) THEN now() END)`,
      [ids(1, index * 1_000)[0], keys.length, bundle(...keys), published, partitions],
    );
  }
};

describe('an outbox from before parked events had a table of their own', () => {
  it('keeps every event: parked ones under their names, the others in their rows and with their ids', async () => {
    await fill();
    const events = async (columns: string, table: string) =>
      (await pool.query<object>(`SELECT ${columns} FROM messaging.${table} ORDER BY position, ordinal`)).rows;
    const kept = 'position, event_id, type, version, topic, key, payload, value, trace, created_at';
    const before = await events(kept, 'outbox_event');
    const names = ['3', '6', '9.3', '10.1', '10.3', '11.1', '11.2', '12'];
    expect(before).toHaveLength(19);

    expect(await migrate({ url: database.url, ...outboxMigrations })).toEqual([parkedTable]);
    const [parked, rest] = [await events(kept, 'outbox_parked'), await events(kept, 'outbox_event')];
    expect(parked).toHaveLength(names.length);
    expect([...parked, ...rest].map(textOf).toSorted()).toEqual(before.map(textOf).toSorted());
    expect((await listParked(pool, 10)).entries.map(({ name }) => name)).toEqual(names);
    const { rows } = await pool.query(
      `SELECT headers, parked_at, reason FROM messaging.outbox_parked WHERE position IN (3, 6) ORDER BY position`,
    );
    expect(rows).toEqual([
      { headers: null, parked_at: new Date('2026-11-21T12:00:00Z'), reason: null },
      { headers: { code: 'BAD' }, parked_at: expect.any(Date), reason: null },
    ]);
  });

  it('is published completely by the relay, and its parked events when they are sent again', async () => {
    const broker = createTestBroker();
    const logger = silentLogger;
    const relay = createOutboxRelay({ pool, broker, producer: 'orders', secret: undefined, logger });
    await relay.start();
    const keys = () => broker.sent.map(({ key, value }) => key ?? String(value));
    const unpublished = ['waits', 'opened', 'waits', 'b-waits-1', 'b-waits-2', 'part-1', 'part-2'];
    await until(() => broker.sent.length >= unpublished.length, 'all is published');
    expect(keys()).toEqual(unpublished);
    expect((await resendParked(pool, 'all')).size).toBe(8);
    await until(() => broker.sent.length >= unpublished.length + 8, 'the parked events are published');
    expect(keys().slice(unpublished.length)).toEqual([
      ...['parked', 'parked', 'part-3', 'some-1', 'some-3', 'all-1', 'all-2', 'single'],
    ]);
    expect(broker.sent.find(({ topic, headers }) => topic === 'in.dlq' && headers['code'] !== 'BAD')).toBe(
      undefined,
    );
    await relay.stop();
  });
});

const textOf = (row: object): string => JSON.stringify(row);
