import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type pg from 'pg';
import { readLag } from '../src/lag.js';
import { migrate } from '@cinegraph/database/migrate';
import { listParked } from '../src/outbox/parked.js';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';

const migrations = new URL('../../../prisma/metadata/migrations/', import.meta.url);
const bundles = '20261127000000_outbox_bundles';

let folder: string;
let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  const filter = (path: string): boolean => !path.includes(bundles);
  await cp(fileURLToPath(migrations), folder, { recursive: true, filter });
  database = await testDatabase({ name: 'upgrade', migrations: pathToFileURL(`${folder}/`) });
  pool = testPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

it('an outbox from before there were bundles keeps what waits, what is published, and what was put aside', async () => {
  await pool.query(`
    INSERT INTO outbox (type, topic, key, payload, published_at, published_partition, published_offset)
    VALUES ('OrderPlaced', 'out', 'waits', '{}', NULL, NULL, NULL), ('OrderPlaced', 'out', 'there', '{}', now(), 3, 9),
      ('OrderPlaced', 'out', 'aside', '{}', now(), NULL, NULL)`);
  expect(await migrate({ url: database.url, migrations })).toEqual([bundles]);
  const { rows } = await pool.query(
    'SELECT key, published_at IS NULL AS waits, partition FROM outbox_event ORDER BY position',
  );
  expect(rows).toEqual([
    { key: 'waits', waits: true, partition: null },
    { key: 'there', waits: false, partition: 3 },
    { key: 'aside', waits: false, partition: -1 },
  ]);
  expect(await listParked(pool, 10)).toMatchObject({ count: 1, entries: [{ name: '3', key: 'aside' }] });
  const lag = await readLag({
    ...{ subgraph: 'orders', pool, consumers: [] },
    broker: { positions: async () => [] },
  });
  expect(lag.outbox).toMatchObject({ unpublished: 1, parked: 1 });
});
