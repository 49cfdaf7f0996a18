import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type pg from 'pg';
import type { Broker } from '../src/broker.js';
import { formatTables } from '@cinegraph/service/terminal';
import { lagTables, readLag, type Lag } from '../src/lag.js';
import { inboxMigrations, outboxMigrations } from '../src/migrations.js';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';

let database: TestDatabase;
let pool: pg.Pool;
beforeEach(async () => {
  database = await testDatabase({ name: 'outbox', migrations: [outboxMigrations, inboxMigrations] });
  pool = testPool(database.url);
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const lagWith = async (positions: Broker['positions']) =>
  readLag({
    ...{ subgraph: 'orders', pool, broker: { positions } },
    consumers: [{ group: 'orders.intake', topics: ['in', 'new'] }],
  });

const textOf = (lag: Lag): string => formatTables(lagTables(lag));

const positions: Broker['positions'] = async () => [
  { topic: 'in', partition: 0, committed: 90n, end: 100n },
  { topic: 'in', partition: 1, committed: null, end: 7n },
  // Beyond the end, because the broker lost messages: the group restarts at the oldest one.
  { topic: 'in', partition: 2, committed: 90n, end: 3n },
];

it('the lag counts events in the outbox, messages not consumed yet, and dead letters', async () => {
  await pool.query(`
    INSERT INTO messaging.outbox (type, topic, key, payload, created_at, published_at)
    VALUES ('OrderPlaced', 'out', 'k', '{}', now() - interval '90 s', NULL),
      ('OrderPlaced', 'out', 'k', '{}', now() - interval '2 h', now());
    INSERT INTO messaging.outbox (type, topic, size, events)
    VALUES ('OrderPlaced', 'out', 4, '[{}, {}, {}, {}]');
    INSERT INTO messaging.outbox_parked (event_id, position, version, topic, created_at, resent_as)
    SELECT gen_random_uuid(), n, 1, 'out', now(), CASE WHEN n = 4 THEN 5 END FROM generate_series(1, 4) n;
    INSERT INTO messaging.dead_letter (consumer, identity, topic, partition, "offset", appended_at, headers, code, reason, state)
    SELECT 'intake', n, 'in', 0, n, now(), '{}', CASE WHEN n < 5 THEN 'NOT_AN_EVENT' ELSE 'INVALID' END, '',
      CASE WHEN n = 1 THEN 'replayed' WHEN n = 2 THEN 'dropped' ELSE 'open' END
    FROM generate_series(1, 7) n`);
  const lag = await lagWith(positions);
  expect(lag).toEqual({
    subgraph: 'orders',
    outbox: { unpublished: 5, oldestSeconds: expect.any(Number), parked: 3 },
    consumers: [
      { group: 'orders.intake', topic: 'in', partitions: 3, lag: 20n },
      { group: 'orders.intake', topic: 'new', partitions: 0, lag: 0n },
    ],
    deadLetters: [
      { consumer: 'intake', code: 'INVALID', open: 3, replayed: 0, dropped: 0 },
      { consumer: 'intake', code: 'NOT_AN_EVENT', open: 2, replayed: 1, dropped: 1 },
    ],
  });
  expect(lag.outbox.oldestSeconds).toBeGreaterThanOrEqual(90);
  expect(textOf({ ...lag, outbox: { ...lag.outbox, oldestSeconds: 90.04 } })).toBe(`\
OUTBOX  UNPUBLISHED  OLDEST  PARKED
orders  5            90.0 s  3

CONSUMER GROUP  TOPIC  PARTITIONS  LAG
orders.intake   in     3           20
orders.intake   new    0           0

DEAD LETTERS OF  CODE          OPEN  REPLAYED  DROPPED
orders.intake    INVALID       3     0         0
orders.intake    NOT_AN_EVENT  2     1         1
`);
});

it('the lag is read by an index, without the published events of three days', async () => {
  await pool.query(`
    INSERT INTO messaging.outbox (type, topic, key, payload, published_at)
    SELECT 'OrderPlaced', 'out', 'k', '{}', now() FROM generate_series(1, 20000) n`);
  await pool.query('ANALYZE messaging.outbox');
  const query = jest.spyOn(pool, 'query');
  await lagWith(async () => []);
  const asked = query.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes('FROM messaging.outbox'));
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${asked.join()}`);
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toContain('outbox_unpublished');
  expect(plan).not.toContain('Seq Scan on outbox ');
});

it('the lag is shown without the consumers while the broker is unavailable or does not answer at all', async () => {
  const table = `\
OUTBOX  UNPUBLISHED  OLDEST  PARKED
orders  0            -       0

CONSUMER GROUP                      TOPIC  PARTITIONS  LAG
orders: the broker does not answer         ?           ?

DEAD LETTERS OF  CODE  OPEN  REPLAYED  DROPPED
none
`;
  expect(textOf(await lagWith(() => Promise.reject(new Error('connection refused'))))).toBe(table);
  expect(textOf(await lagWith(() => new Promise(() => undefined)))).toBe(table);
});
