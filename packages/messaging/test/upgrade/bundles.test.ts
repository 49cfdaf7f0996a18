import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type pg from 'pg';
import { migrateAll } from '@cinegraph/database/migrate';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { readLag } from '../../src/lag.js';
import { outboxMigrations } from '../../src/migrations.js';
import { listParked } from '../../src/outbox/parked.js';
import { migrationsBefore, parkedTable, prismaMigrations } from './support.js';

const bundles = '20261127000000_outbox_bundles';
const moved = '20261128000000_messaging_schema';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  const before = await migrationsBefore(prismaMigrations('metadata'), bundles);
  database = await testDatabase({ name: 'upgrade', migrations: [before.set] });
  await before.remove();
  pool = testPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

it('an outbox from before bundles existed keeps its unpublished, published and parked events', async () => {
  await pool.query(`
    INSERT INTO outbox (type, topic, key, payload, published_at, published_partition, published_offset)
    VALUES ('OrderPlaced', 'out', 'waits', '{}', NULL, NULL, NULL), ('OrderPlaced', 'out', 'there', '{}', now(), 3, 9),
      ('OrderPlaced', 'out', 'aside', '{}', now(), NULL, NULL)`);
  const own = await migrationsBefore(prismaMigrations('metadata'), `${moved}_`);
  const migrated = await migrateAll(database.url, [own.set, outboxMigrations]);
  await own.remove();
  expect(migrated).toEqual([bundles, moved, '20261128000000_init', parkedTable]);
  const { rows } = await pool.query(
    'SELECT key, published_at IS NULL AS waits FROM messaging.outbox_event ORDER BY position',
  );
  expect(rows).toEqual([
    { key: 'waits', waits: true },
    { key: 'there', waits: false },
  ]);
  expect(await listParked(pool, 10)).toMatchObject({ count: 1, entries: [{ name: '3', key: 'aside' }] });
  const lag = await readLag({
    ...{ subgraph: 'orders', pool, consumers: [] },
    broker: { positions: async () => [] },
  });
  expect(lag.outbox).toMatchObject({ unpublished: 1, parked: 1 });
});
