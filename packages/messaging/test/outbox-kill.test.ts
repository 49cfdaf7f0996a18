import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { until } from '@cinegraph/testing/until';
import { brokerMigrations, outboxMigrations } from '../src/migrations.js';
import { batchLimits } from '../src/outbox/table.js';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';

const topic = 'orders.states.v1';
const kills = 8;
const script = fileURLToPath(new URL('support/relay-process.mjs', import.meta.url));

let databases: readonly [TestDatabase, TestDatabase];
let outbox: pg.Pool;
let log: pg.Pool;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  databases = [
    await testDatabase({
      name: 'outbox',
      migrations: [outboxMigrations],
    }),
    await testDatabase({
      name: 'log',
      migrations: [brokerMigrations],
    }),
  ];
  outbox = testPool(databases[0].url);
  log = testPool(databases[1].url);
});
afterEach(async () => {
  for (const child of children) await kill(child);
  await Promise.all([outbox.end(), log.end()]);
  for (const database of databases) await database.drop();
});

/**
 * Starts a relay in a process of its own; `onPublished` is told when it has published something and not
 * marked it yet.
 */
const startRelay = (onPublished: (child: ChildProcess) => void): void => {
  const [{ url: outboxUrl }, { url: logUrl }] = databases;
  const child = spawn(process.execPath, [script, outboxUrl, logUrl, topic], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  child.stdout.on('data', () => onPublished(child));
};

const kill = async (child: ChildProcess): Promise<void> => {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
};

const count = async (pool: pg.Pool, sql: string): Promise<number> => {
  const { rows } = await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`);
  return rows[0]?.n ?? 0;
};

describe('relays that are killed between publishing and marking', () => {
  it('publish every event, and no more than a batch a kill twice; another takes over', async () => {
    let publisher: ChildProcess | undefined;
    const onPublished = (child: ChildProcess) => (publisher = child);
    startRelay(onPublished);
    startRelay(onPublished);
    for (let round = 0; round < kills; round += 1) {
      await outbox.query(
        `INSERT INTO messaging.outbox (type, topic, key, payload)
         SELECT 'OrderPlaced', $1, 'key' || n % 7, jsonb_build_object('n', n) FROM generate_series(1, 3000) n`,
        [topic],
      );
      publisher = undefined;
      await until(() => publisher !== undefined, 'a relay has published');
      await kill(publisher as unknown as ChildProcess);
      startRelay(onPublished);
    }
    await until(
      async () => (await count(outbox, 'messaging.outbox WHERE published_at IS NULL')) === 0,
      'all is published',
    );
    const { rows } = await outbox.query<{ event_id: string }>('SELECT event_id FROM messaging.outbox_event');
    const messages = await log.query<{ id: string }>(
      `SELECT convert_from(value, 'UTF8')::jsonb ->> 'id' AS id FROM messaging.message WHERE topic = $1`,
      [topic],
    );
    const published = messages.rows.map(({ id }) => id);
    expect(new Set(published)).toEqual(new Set(rows.map(({ event_id: id }) => id)));
    const twice = published.length - rows.length;
    // The kills came between: at least one batch was sent again, or this proves nothing.
    expect(twice).toBeGreaterThan(0);
    expect(twice).toBeLessThanOrEqual(kills * batchLimits.events);
  });
});
