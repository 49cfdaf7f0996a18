import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageRefused } from '@cinegraph/messaging/broker';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import type { Part } from '@cinegraph/service/parts';
import { createTestBroker, type TestBroker } from '@cinegraph/testing/broker';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import type pg from 'pg';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { migrations } from '../src/migrations.js';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { ratingEvents, runCommand } from './run-command.js';

const topic = 'rating.aggregates.v1';
let databases: TestDatabase[];
let pool: pg.Pool;
beforeAll(async () => {
  const ofEvents = [brokerMigrations];
  databases = [
    await testDatabase({ name: 'rating', migrations }),
    await testDatabase({ name: 'events', migrations: ofEvents }),
  ];
  pool = testPool(databases[0]?.url ?? '');
});
afterAll(async () => {
  await pool.end();
  for (const { drop } of databases) await drop();
});

const run = (args: readonly string[]) => runCommand(pool, ratingEvents['outbox'], args);

let broker: TestBroker;
let limit: number;
let relay: Part;
beforeEach(async () => {
  await pool.query(
    'TRUNCATE messaging.outbox, messaging.outbox_parked, messaging.outbox_end RESTART IDENTITY',
  );
  broker = createTestBroker();
  limit = 300;
  broker.onPublish = (messages) => {
    const refused = messages.find(({ value }) => (value?.length ?? 0) > limit);
    if (refused) throw new MessageRefused('it is too large', refused);
  };
  const logger = silentLogger;
  relay = createOutboxRelay({ pool, broker, producer: 'rating', secret: undefined, logger });
  await relay.start();
});
afterEach(() => relay.stop());

/** Appends an event, `large` or not, and waits until it is published or parked. */
const append = async (key: string, version: number, large = false) => {
  await pool.query(
    `INSERT INTO messaging.outbox (type, topic, key, payload)
     VALUES ('AggregatedRatingChanged', $1, $2, jsonb_build_object('version', $3::int, 'more', repeat('x', $4)))`,
    [topic, key, version, large ? 400 : 0],
  );
  await done();
};
const done = () =>
  until(async () => {
    const { rowCount } = await pool.query('SELECT FROM messaging.outbox WHERE published_at IS NULL');
    return rowCount === 0;
  }, 'the relay is through');

/** Of each message that the broker has: its key and version. */
const sent = () =>
  broker.sent.map(({ key, value }) => {
    const { data } = JSON.parse(String(value)) as { data: { version: number } };
    return `${key}@${data.version}`;
  });

describe('outbox', () => {
  it('outbox lists the parked events, the oldest first, without control characters of a terminal', async () => {
    expect(await run([])).toEqual({ code: 0, printed: 'rating: 0 parked.\n' });
    await append('a', 1);
    await append('\u001b[2Jb', 1, true);
    await append('c', 1, true);
    await pool.query(
      `INSERT INTO messaging.outbox_parked (event_id, position, version, topic, value, headers, created_at, parked_at)
       VALUES (gen_random_uuid(), 4, 1, 'in.dlq', 'abc', '{}', now(), '2026-11-21T12:00:00Z')`,
    );
    const listed = await run([]);
    expect(listed.code).toBe(0);
    expect(listed.printed.replaceAll(/\S+Z /g, 'TIME ')).toBe(`\
rating: 3 parked:
  2         TIME  ${topic}  AggregatedRatingChanged  426 bytes  \\u{1b}[2Jb
  3         TIME  ${topic}  AggregatedRatingChanged  426 bytes  c
  4         TIME  in.dlq  (a copy)  3 bytes  (no key)
`);
    expect(listed.printed).toContain('  4         2026-11-21T12:00:00.000Z  in.dlq');
    const counted = await runCommand(pool, ratingEvents['lag'], [], {
      DATABASE_URL_EVENTS: databases[1]?.url ?? '',
    });
    expect(counted.printed).toMatch(/^rating +0 +- +3\n/m);
    expect(counted.printed).toMatch(
      /^rating\.ingest +ratings .*\nrating\.known-movies +metadata\.movies\.v1 /m,
    );
    const first = await run(['--limit', '1']);
    expect(first.printed).toMatch(/^rating: 3 parked, the oldest 1 of them:\n {2}2 .*\n$/);
  });

  it('outbox resend publishes what its topic accepts now, and after an older state the newest of its key', async () => {
    await append('a', 1, true);
    await append('a', 2);
    await append('a', 3);
    await append('b', 1, true);
    await append('b', 2);
    expect(sent()).toEqual(['a@2', 'a@3', 'b@2']);
    limit = 1_000;
    expect(await run(['resend', '1', '2', '99'])).toEqual({
      code: 1,
      printed:
        'rating: 2 is not parked.\nrating: 99 is not parked.\n' +
        'rating: 1 to be published again; those that the broker rejects again are parked again.\n',
    });
    await done();
    expect(sent().slice(3)).toEqual(['a@1', 'a@3']);
    expect((await run(['resend', '--all'])).code).toBe(0);
    await done();
    expect(sent().slice(5)).toEqual(['b@1', 'b@2']);
    expect((await run([])).printed).toBe('rating: 0 parked.\n');
  });

  it('outbox resend wakes the relay, which parks again what is still rejected', async () => {
    const listener = await pool.connect();
    let heard = 0;
    listener.on('notification', () => (heard += 1));
    await append('a', 1, true);
    await listener.query('LISTEN outbox');
    const attempts = broker.attempts();
    await run(['resend', '--all']);
    await until(() => heard === 1, 'the relay is notified');
    await until(() => broker.attempts() > attempts, 'the relay tried again');
    await done();
    listener.release(true);
    expect(sent()).toEqual([]);
    expect((await run([])).printed).toContain('rating: 1 parked:\n  1 ');
  });

  it('outbox resend makes only the named events unpublished, or all of them', async () => {
    await relay.stop();
    await pool.query(`INSERT INTO messaging.outbox_parked (event_id, position, version, topic, value, headers, created_at)
      SELECT gen_random_uuid(), n, 1, 'in.dlq', convert_to('copy ' || n, 'UTF8'), '{}', now() FROM generate_series(1, 3) n`);
    const waiting = async () => {
      const { rows } = await pool.query<{ value: Buffer }>(
        'SELECT value FROM messaging.outbox WHERE published_at IS NULL ORDER BY position',
      );
      return rows.map(({ value }) => String(value));
    };
    expect((await run(['resend', '2'])).code).toBe(0);
    expect(await waiting()).toEqual(['copy 2']);
    expect((await run(['resend', '--all'])).printed).toMatch(/^rating: 2 to be published again/);
    expect(await waiting()).toEqual(['copy 2', 'copy 1', 'copy 3']);
    await relay.start();
  });

  it.each([
    ['resend'],
    ['resend', 'x'],
    ['resend', 'rating/7'],
    ['resend', '7', '--all'],
    ['resend', '--all', '--limit', '3'],
    ['--all'],
    ['--limit', '0'],
    ['drop', '7'],
  ])('outbox asks for correct arguments when it gets %p %p %p', async (...args) => {
    expect(await run(args)).toEqual({ code: 'usage', printed: '' });
  });
});

describe('backfill', () => {
  it('backfill publishes the current state to a topic once, however often it runs', async () => {
    await pool.query(
      `INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s9, version) VALUES ('m', 'known', 9, 1, 1, 4)`,
    );
    const backfill = () => runCommand(pool, ratingEvents['backfill'], []);
    expect(await backfill()).toEqual({
      code: 0,
      printed: `rating: ${topic}: 1 aggregated ratings published\n`,
    });
    await done();
    expect(sent()).toEqual(['m@4']);
    expect(await backfill()).toEqual({ code: 0, printed: `rating: ${topic}: was filled before\n` });
    expect(await runCommand(pool, ratingEvents['backfill'], ['again'])).toMatchObject({ code: 'usage' });
  });
});
