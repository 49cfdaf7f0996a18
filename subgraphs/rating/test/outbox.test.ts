import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageRefused } from '@cinegraph/messaging/broker';
import { StartError } from '@cinegraph/service/start-error';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import type { Part } from '@cinegraph/service/parts';
import { createTestBroker, type TestBroker } from '@cinegraph/testing/broker';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import type pg from 'pg';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { lag } from '../src/command-line/lag.js';
import { outbox } from '../src/command-line/outbox.js';
import { migrations } from '../src/migrations.js';
import { runCommand } from './run-command.js';

const topic = 'rating.aggregates.v1';
let databases: TestDatabase[];
let pool: pg.Pool;
let metadata: pg.Pool;
beforeAll(async () => {
  const ofMetadata = new URL('../../../prisma/metadata/migrations/', import.meta.url);
  const ofEvents = new URL('../../../prisma/events/migrations/', import.meta.url);
  databases = [
    await testDatabase({ name: 'rating', migrations }),
    await testDatabase({ name: 'metadata', migrations: ofMetadata }),
    await testDatabase({ name: 'events', migrations: ofEvents }),
  ];
  [pool, metadata] = databases.map(({ url }) => testPool(url)) as [pg.Pool, pg.Pool];
});
afterAll(async () => {
  await Promise.all([pool.end(), metadata.end()]);
  for (const { drop } of databases) await drop();
});

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runCommand(pool, outbox, args, env);
const both = () => ({ DATABASE_URL_METADATA: databases[1]?.url ?? '' });

let broker: TestBroker;
let limit: number;
let relay: Part;
beforeEach(async () => {
  for (const one of [pool, metadata]) await one.query('TRUNCATE outbox, outbox_end RESTART IDENTITY');
  broker = createTestBroker();
  limit = 300;
  broker.onPublish = (messages) => {
    if (messages.some(({ value }) => (value?.length ?? 0) > limit))
      throw new MessageRefused('it is too large');
  };
  const logger = silentLogger;
  relay = createOutboxRelay({ pool, broker, producer: 'rating', secret: undefined, logger });
  await relay.start();
});
afterEach(() => relay.stop());

/** Appends an event of a state, `large` or not, and waits until it is published or put aside. */
const tell = async (key: string, version: number, large = false) => {
  await pool.query(
    `INSERT INTO outbox (type, topic, key, payload)
     VALUES ('AggregatedRatingChanged', $1, $2, jsonb_build_object('version', $3::int, 'more', repeat('x', $4)))`,
    [topic, key, version, large ? 400 : 0],
  );
  await done();
};
const done = () =>
  until(async () => {
    const { rowCount } = await pool.query('SELECT FROM outbox WHERE published_at IS NULL');
    return rowCount === 0;
  }, 'the relay is through');

/** Of each message that the broker has: its key and version. */
const sent = () =>
  broker.sent.map(({ key, value }) => {
    const { data } = JSON.parse(String(value)) as { data: { version: number } };
    return `${key}@${data.version}`;
  });

describe('outbox', () => {
  it('lists what was put aside, the oldest first, with nothing in it that a terminal would obey', async () => {
    expect(await run([])).toEqual({ code: 0, printed: 'rating: 0 put aside.\n' });
    await tell('a', 1);
    await tell('\u001b[2Jb', 1, true);
    await tell('c', 1, true);
    await metadata.query(
      `INSERT INTO outbox (topic, value, headers, published_at, published_partitions, aside_at)
       VALUES ('in.dlq', 'abc', '{}', now(), '{-1}', '2026-11-21T12:00:00Z')`,
    );
    const listed = await run([], both());
    expect(listed.code).toBe(0);
    expect(listed.printed.replaceAll(/\S+Z /g, 'TIME ')).toBe(`\
rating: 2 put aside:
  rating/2          TIME  ${topic}  AggregatedRatingChanged  426 bytes  \\u{1b}[2Jb
  rating/3          TIME  ${topic}  AggregatedRatingChanged  426 bytes  c
metadata: 1 put aside:
  metadata/1        TIME  in.dlq  (as it is)  3 bytes  (no key)
`);
    expect(listed.printed).toContain('metadata/1        2026-11-21T12:00:00.000Z  in.dlq');
    const counted = await runCommand(pool, lag, [], {
      ...both(),
      DATABASE_URL_EVENTS: databases[2]?.url ?? '',
    });
    expect(counted.printed).toMatch(/^rating +0 +- +2\nmetadata +0 +- +1\n/m);
    const first = await run(['--limit', '1']);
    expect(first.printed).toMatch(/^rating: 2 put aside, the oldest 1 of them:\n {2}rating\/2 .*\n$/);
  });

  it('sends again what its topic takes by now, and behind an older state the newest of its key', async () => {
    await tell('a', 1, true);
    await tell('a', 2);
    await tell('a', 3);
    await tell('b', 1, true);
    await tell('b', 2);
    expect(sent()).toEqual(['a@2', 'a@3', 'b@2']);
    limit = 1_000;
    expect(await run(['resend', 'rating/1', 'rating/2', 'rating/99'])).toEqual({
      code: 1,
      printed:
        'rating/2: not put aside.\nrating/99: not put aside.\n' +
        '1 to be published again; what is refused again is put aside again.\n',
    });
    await done();
    expect(sent().slice(3)).toEqual(['a@1', 'a@3']);
    expect((await run(['resend', '--all'])).code).toBe(0);
    await done();
    expect(sent().slice(5)).toEqual(['b@1', 'b@2']);
    expect((await run([])).printed).toBe('rating: 0 put aside.\n');
  });

  it('wakes the relay, which puts aside again what is still refused', async () => {
    const listener = await pool.connect();
    let heard = 0;
    listener.on('notification', () => (heard += 1));
    await tell('a', 1, true);
    await listener.query('LISTEN outbox');
    const attempts = broker.attempts();
    await run(['resend', '--all']);
    await until(() => heard === 1, 'it is told of');
    await until(() => broker.attempts() > attempts, 'it was tried again');
    await done();
    listener.release(true);
    expect(sent()).toEqual([]);
    expect((await run([])).printed).toContain('rating: 1 put aside:\n  rating/1 ');
  });

  it('sends those of metadata again where it is told where they are', async () => {
    await metadata.query(`INSERT INTO outbox (topic, value, headers, published_at, published_partitions, aside_at)
      SELECT 'in.dlq', 'abc', '{}', now(), '{-1}', now() FROM generate_series(1, 3)`);
    await expect(run(['resend', 'metadata/1'])).rejects.toThrow(StartError);
    expect((await run(['resend', 'metadata/1'], both())).code).toBe(0);
    const waiting = async () => {
      const { rows } = await metadata.query<{ position: string }>(
        'SELECT position FROM outbox WHERE published_at IS NULL ORDER BY 1',
      );
      return rows.map(({ position }) => position);
    };
    expect(await waiting()).toEqual(['1']);
    expect((await run(['resend', '--all'], both())).printed).toMatch(/^2 to be published again/);
    expect(await waiting()).toEqual(['1', '2', '3']);
  });

  it.each([
    ['resend'],
    ['resend', '7'],
    ['resend', 'users/7'],
    ['resend', 'rating/7', '--all'],
    ['resend', '--all', '--limit', '3'],
    ['--all'],
    ['--limit', '0'],
    ['drop', 'rating/7'],
  ])('explains itself when it is asked %p %p %p', async (...args) => {
    expect(await run(args)).toEqual({ code: 'usage', printed: '' });
  });
});
