import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { until } from '@cinegraph/testing/until';
import { MessageRefused } from '../src/broker.js';
import { createEnvelopeReader, isEnvelopeFault } from '../src/envelope.js';
import { createLogger } from '@cinegraph/service/logger';
import { listParked, resendParked } from '../src/outbox/parked.js';
import { createOutboxRelay } from '../src/outbox/relay.js';
import { batchLimits } from '../src/outbox/table.js';
import type { Part } from '@cinegraph/service/parts';
import { createTestBroker, type SentMessage, type TestBroker } from '@cinegraph/testing/broker';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';

const secret = 'the secret of the tests of the outbox relay';
const topic = 'orders.states.v1';
const migrations = new URL('../../../prisma/metadata/migrations/', import.meta.url);

let database: TestDatabase;
let pool: pg.Pool;
let broker: TestBroker;
let lines: { level: string; msg: string }[];
const relays: Part[] = [];

beforeEach(async () => {
  database = await testDatabase({ name: 'outbox', migrations });
  pool = testPool(database.url);
  broker = createTestBroker();
  lines = [];
});
afterEach(async () => {
  for (const relay of relays.splice(0)) await relay.stop();
  await pool.end();
  await database.drop();
});

const logger = () => {
  const log = createLogger({ name: 'orders', level: 'info' });
  return Object.assign(log, {
    child: () => ({
      ...log,
      info: (_facts: unknown, msg: string) => lines.push({ level: 'info', msg }),
      warn: (_facts: unknown, msg: string) => lines.push({ level: 'warn', msg }),
      error: (_facts: unknown, msg: string) => lines.push({ level: 'error', msg }),
    }),
  });
};

const startRelay = async (over: TestBroker = broker): Promise<Part> => {
  const relay = createOutboxRelay({ pool, broker: over, producer: 'orders', secret, logger: logger() });
  relays.push(relay);
  await relay.start();
  return relay;
};

/** Appends events of `keys` keys, numbered from 1, in one statement. */
const append = (count: number, keys = 7, client: pg.Pool | pg.ClientBase = pool) =>
  client.query(
    `INSERT INTO outbox (type, topic, key, payload)
     SELECT 'OrderPlaced', $1, 'key' || n % $3, jsonb_build_object('n', n) FROM generate_series(1, $2::int) n`,
    [topic, count, keys],
  );

const unpublished = async (): Promise<number> => {
  const { rows } = await pool.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM outbox WHERE published_at IS NULL',
  );
  return rows[0]?.n ?? 0;
};
const drained = () => until(async () => (await unpublished()) === 0, 'all is published');

const read = createEnvelopeReader(secret);
const eventOf = (message: SentMessage) => {
  const { headers, ...rest } = message;
  const envelope = read({
    ...rest,
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  });
  if (isEnvelopeFault(envelope)) throw new Error(envelope.reason);
  return envelope;
};
const idsOf = (sent: readonly SentMessage[]) => sent.map((message) => eventOf(message).id);
const outboxIds = async (): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ event_id: string }>(
    'SELECT event_id FROM outbox_event ORDER BY position, place',
  );
  return rows.map(({ event_id: id }) => id);
};

describe('the outbox relay', () => {
  it('publishes an event in a signed envelope, and notes where the broker put it', async () => {
    await pool.query(
      `INSERT INTO outbox (type, version, topic, key, payload, trace)
       VALUES ('OrderPlaced', 2, $1, 'k', '{"n": 1}', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')`,
      [topic],
    );
    await startRelay();
    await drained();
    const { rows } = await pool.query<{ event_id: string; created_at: Date }>('SELECT * FROM outbox');
    const [message] = broker.sent;
    expect(message).toMatchObject({ topic, key: 'k', headers: { signature: expect.any(String) } });
    expect(eventOf(message!)).toEqual({
      id: rows[0]?.event_id,
      type: 'OrderPlaced',
      version: 2,
      key: 'k',
      occurredAt: rows[0]?.created_at.toISOString(),
      producer: 'orders',
      trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      data: { n: 1 },
    });
    expect(rows[0]).toMatchObject({ published_partitions: [message?.partition] });
    const ends = await pool.query('SELECT * FROM outbox_end');
    expect(ends.rows).toEqual([{ topic, partition: message?.partition, next_offset: '1' }]);
  });

  it('publishes a copy as it is', async () => {
    await pool.query(`INSERT INTO outbox (topic, key, value, headers) VALUES ('in.dlq', NULL, '\\x00ff', '{"code": "BAD"}'),
      ('in.dlq', 'k', NULL, '{}')`);
    await startRelay();
    await drained();
    expect(broker.sent).toMatchObject([
      { topic: 'in.dlq', key: null, value: Buffer.from([0, 255]), headers: { code: 'BAD' } },
      { topic: 'in.dlq', key: 'k', value: null, headers: {} },
    ]);
  });

  it('hears of what is written while it waits, well before it would look by itself', async () => {
    await startRelay();
    await append(1);
    await drained();
    const started = performance.now();
    for (let round = 0; round < 20; round += 1) {
      await append(1);
      await until(() => broker.sent.length === round + 2, 'the event is sent');
    }
    // Twenty looks a second apart would take twenty seconds.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('drains 1,000 entries, and works on', async () => {
    await append(1_000);
    await startRelay();
    await drained();
    expect(idsOf(broker.sent)).toEqual(await outboxIds());
    await append(1);
    await drained();
    expect(broker.sent).toHaveLength(1_001);
  });

  it('loses nothing while the broker refuses, and says so once', async () => {
    let refusals = 0;
    broker.onPublish = () => {
      if ((refusals += 1) <= 5) throw new Error('the broker is away');
    };
    await append(4_200);
    await startRelay();
    await drained();
    expect(refusals).toBeGreaterThan(5);
    expect(idsOf(broker.sent)).toEqual(await outboxIds());
    expect(lines).toEqual([
      { level: 'warn', msg: 'events wait in the outbox: the broker takes none' },
      { level: 'info', msg: 'the broker takes events again' },
    ]);
  });

  it('publishes again what was taken without being acknowledged', async () => {
    let failures = 0;
    broker.onAppended = () => {
      if ((failures += 1) <= 2) throw new Error('the acknowledgement is lost');
    };
    await append(2_500);
    await startRelay();
    await drained();
    expect(new Set(idsOf(broker.sent))).toEqual(new Set(await outboxIds()));
    expect(broker.sent).toHaveLength(2_500 + 2 * batchLimits.entries);
  });

  it('publishes exactly what was committed, though it is committed in another order than positions', async () => {
    await startRelay();
    const clients = await Promise.all(Array.from({ length: 8 }, () => testPool(database.url).connect()));
    let committed = 0;
    let seed = 20_261_121;
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
    await Promise.all(
      clients.map(async (client, writer) => {
        for (let n = 0; n < 125; n += 1) {
          await client.query('BEGIN');
          await append(1, 3, client);
          // Others commit meanwhile, though their positions are higher.
          if (writer % 2 === 0) await client.query('SELECT pg_sleep(0.002)');
          const keep = random() >= 0.3;
          await client.query(keep ? 'COMMIT' : 'ROLLBACK');
          if (keep) committed += 1;
        }
      }),
    );
    await drained();
    for (const client of clients) client.release(true);
    expect(committed).toBeGreaterThan(500);
    expect(idsOf(broker.sent).toSorted()).toEqual([...(await outboxIds())].toSorted());
    expect(broker.sent).toHaveLength(committed);
  });

  it('keeps the order of a key whose writers hold a lock of it', async () => {
    await pool.query('CREATE TABLE state (key text PRIMARY KEY, n int NOT NULL)');
    await pool.query(`INSERT INTO state VALUES ('a', 0), ('b', 0), ('c', 0)`);
    const pools = Array.from({ length: 6 }, () => testPool(database.url));
    await Promise.all(
      pools.map(async (writer, index) => {
        for (let n = 0; n < 60; n += 1) {
          // By then much waits, and more comes.
          if (index === 0 && n === 30) await startRelay();
          await writer.query(
            `WITH moved AS (UPDATE state SET n = n + 1 WHERE key = $2 RETURNING key, n)
             INSERT INTO outbox (type, topic, key, payload)
             SELECT 'OrderChanged', $1, key, jsonb_build_object('n', n) FROM moved`,
            [topic, 'abc'[(index + n) % 3]],
          );
        }
      }),
    );
    await drained();
    await Promise.all(pools.map((writer) => writer.end()));
    for (const key of ['a', 'b', 'c']) {
      const numbers = broker.sent
        .filter((message) => message.key === key)
        .map((message) => (eventOf(message).data as { n: number }).n);
      expect(numbers).toEqual(Array.from({ length: 120 }, (_, index) => index + 1));
    }
  });

  it('puts an entry aside that the broker will never take, and publishes all others', async () => {
    broker.onPublish = (messages) => {
      if (messages.some(({ key }) => key === 'huge')) throw new MessageRefused('it is too large');
    };
    await append(600);
    await pool.query(
      `INSERT INTO outbox (type, topic, key, payload) VALUES ('OrderPlaced', $1, 'huge', '{}')`,
      [topic],
    );
    await append(600);
    await startRelay();
    await drained();
    expect(broker.sent).toHaveLength(1_200);
    const { rows } = await pool.query('SELECT key FROM outbox_event WHERE partition = -1');
    expect(rows).toEqual([{ key: 'huge' }]);
    expect(lines).toEqual([
      { level: 'error', msg: 'the broker will never take this event: it is put aside' },
    ]);
  });

  it('publishes no more than a megabyte at a time, but a larger entry alone', async () => {
    const sizes: number[] = [];
    broker.onPublish = (messages) => {
      sizes.push(messages.length);
    };
    await pool.query(
      `INSERT INTO outbox (topic, value, headers)
       SELECT 'in.dlq', decode(repeat('ab', bytes), 'hex'), '{}'
       FROM (VALUES (400000), (400000), (400000), (3000000), (10)) AS size (bytes)`,
    );
    await startRelay();
    await drained();
    expect(sizes).toEqual([2, 1, 1, 1]);
  });

  it('removes what was published three days ago, and nothing else', async () => {
    await append(6);
    await startRelay();
    await drained();
    await relays.pop()?.stop();
    await pool.query(`UPDATE outbox SET published_at = now() - interval '73 hours' WHERE position <= 4`);
    await pool.query('UPDATE outbox SET aside_at = published_at WHERE position = 2');
    await pool.query('UPDATE outbox SET published_at = NULL, published_partitions = NULL WHERE position = 3');
    broker.onPublish = () => {
      throw new Error('the broker is away');
    };
    await startRelay();
    await until(async () => {
      const { rows } = await pool.query<{ position: string }>(
        'SELECT position FROM outbox ORDER BY position',
      );
      return rows.map(({ position }) => position).join() === '2,3,5,6';
    }, 'they are removed');
  });
});

/** Appends a bundle of events of `keys` keys, numbered from `from`. */
const appendBundle = (count: number, { keys = 7, from = 1 } = {}) =>
  pool.query(
    `INSERT INTO outbox (type, topic, size, events)
     SELECT 'OrderPlaced', $1, $2, json_agg(json_build_object('key', 'key' || n % $3, 'trace', NULL, 'data', json_build_object('n', n)))
     FROM generate_series($4::int, $4::int + $2::int - 1) n`,
    [topic, count, keys, from],
  );
const numbersOf = (sent: readonly SentMessage[]) =>
  sent.map((message) => (eventOf(message).data as { n: number }).n);
const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe('a bundle', () => {
  it('is published as one message an event, each with an id, a key and a trace of its own', async () => {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await pool.query(
      `INSERT INTO outbox (event_id, type, version, topic, size, events)
       VALUES ('0199c0de-0000-7000-8000-00000000ffff', 'OrderPlaced', 2, $1, 2, $2)`,
      [
        topic,
        JSON.stringify([
          { key: 'a', trace, data: { n: 1 } },
          { key: 'b', trace: null, data: { n: 2 } },
        ]),
      ],
    );
    await startRelay();
    await drained();
    expect(broker.attempts()).toBe(1);
    const event = { type: 'OrderPlaced', version: 2, producer: 'orders' };
    expect(broker.sent.map(eventOf)).toMatchObject([
      { ...event, id: '0199c0de-0000-7000-8000-00000000ffff', key: 'a', trace, data: { n: 1 } },
      { ...event, id: '0199c0de-0000-7000-8000-000000000000', key: 'b', data: { n: 2 } },
    ]);
    expect(idsOf(broker.sent)).toEqual(await outboxIds());
    const { rows } = await pool.query('SELECT key, partition FROM outbox_event ORDER BY place');
    expect(rows).toEqual(broker.sent.map(({ key, partition }) => ({ key, partition })));
  });

  it('that is larger than a batch is published whole before what is behind it', async () => {
    await appendBundle(4_200);
    await appendBundle(300, { from: 4_201 });
    await startRelay();
    await drained();
    expect(numbersOf(broker.sent)).toEqual(upTo(4_500));
    expect(idsOf(broker.sent)).toEqual(await outboxIds());
    expect(new Set(idsOf(broker.sent)).size).toBe(4_500);
  });

  it('keeps its order and loses nothing while the broker takes less at a time, and fails on and off', async () => {
    broker.onPublish = (messages) => {
      if (messages.length > 100) throw new MessageRefused('they are too many');
      if (broker.attempts() % 3 === 0) throw new Error('the broker is away');
    };
    await appendBundle(500);
    await append(20);
    await appendBundle(500, { from: 501 });
    await startRelay();
    await drained();
    expect(idsOf(broker.sent)).toEqual(await outboxIds());
    expect(broker.sent).toHaveLength(1_020);
  });

  it('has one event put aside, and sent again before the newest of its key', async () => {
    broker.onPublish = (messages) => {
      if (messages.some(({ value }) => String(value).endsWith('{"n":3}}')))
        throw new MessageRefused('it is too large');
    };
    await appendBundle(500, { keys: 500 });
    await appendBundle(500, { keys: 500, from: 501 });
    await startRelay();
    await drained();
    expect(numbersOf(broker.sent)).toEqual(upTo(1_000).filter((n) => n !== 3));
    expect(await listParked(pool, 10)).toMatchObject({
      count: 1,
      entries: [{ name: '1.3', key: 'key3', type: 'OrderPlaced' }],
    });
    broker.onPublish = () => undefined;
    expect([...(await resendParked(pool, ['01.3', '1.4', '2.3']))]).toEqual(['01.3']);
    await drained();
    expect(numbersOf(broker.sent.slice(999))).toEqual([3, 503]);
    expect([...new Set(idsOf(broker.sent))].toSorted()).toEqual([...(await outboxIds())].toSorted());
  });

  it('loses no event that is sent again while others of its bundle are being published', async () => {
    const isThird = ({ value }: { readonly value: Buffer | null }): boolean =>
      String(value).endsWith('{"n":3}}');
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let holding = false;
    broker.onPublish = async (messages) => {
      if (messages.some(isThird)) throw new MessageRefused('it is too large');
      if ((await listParked(pool, 1)).count === 0) return;
      holding = true;
      await held;
    };
    await appendBundle(500);
    await startRelay();
    await until(() => holding, 'one is put aside, and others are on their way');
    broker.onPublish = () => held;
    expect([...(await resendParked(pool, 'all'))]).toEqual(['1.3']);
    letGo();
    await drained();
    expect(numbersOf(broker.sent).toSorted((one, other) => one - other)).toEqual(upTo(500));
  });

  it('has only those events published again whose partition has lost them', async () => {
    await appendBundle(500, { keys: 50 });
    await appendBundle(3, { from: 501 });
    await startRelay();
    await drained();
    const [{ partition } = { partition: 0 }] = broker.sent;
    const there = broker.sent.filter((message) => message.partition === partition);
    const before = broker.sent.length;
    const ends = broker.endOffsets;
    broker.endOffsets = async (topics) => {
      const all = await ends(topics);
      return new Map(
        [...all].map(([name, places]) => [
          name,
          places.map((place) => (place.partition === partition ? { ...place, offset: 0n } : place)),
        ]),
      );
    };
    await until(() => broker.sent.length === before + there.length, 'they are sent again');
    broker.endOffsets = ends;
    await drained();
    expect(idsOf(broker.sent.slice(before))).toEqual(idsOf(there));
  });
});

describe('a relay that works on', () => {
  it('removes old entries at the same pace with one among them that was put aside', async () => {
    await append(4_000);
    await pool.query(
      `UPDATE outbox SET published_at = now() - interval '73 hours',
         aside_at = CASE WHEN position = 1 THEN now() - interval '73 hours' END`,
    );
    await startRelay();
    await until(async () => {
      const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM outbox');
      return rows[0]?.n === 1;
    }, 'all others are removed');
  });

  it('reads a backlog by its place in the order, however few entries the planner believes to wait', async () => {
    const touched = async () => {
      const { rows } = await pool.query<{ touched: number }>(
        `SELECT (seq_tup_read + idx_tup_fetch)::int AS touched FROM pg_stat_user_tables WHERE relname = 'outbox'`,
      );
      return rows[0]?.touched ?? 0;
    };
    await append(5_000);
    await startRelay();
    await drained();
    await relays.pop()?.stop();
    await pool.query('VACUUM ANALYZE outbox');
    await append(40_000);
    const before = await touched();
    await startRelay();
    await until(() => broker.sent.length === 45_000, 'all is published');
    await relays.pop()?.stop();
    // Each is read to be published, beside the batch before it, and to be marked.
    await until(async () => (await touched()) - before >= 80_000, 'what was touched is told');
    expect((await touched()) - before).toBeLessThan(300_000);
  });

  it('keeps its session while the broker is away, though it has nothing to ask of the database', async () => {
    await append(1);
    await startRelay();
    await drained();
    broker.endOffsets = async () => {
      throw new Error('the broker is away');
    };
    const saidAt = async () => {
      const { rows } = await pool.query<{ at: string }>(
        `SELECT query_start::text AS at FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'orders outbox relay'`,
      );
      return rows[0]?.at;
    };
    await until(() => lines.length > 0, 'the broker is found away');
    for (let times = 0; times < 3; times += 1) {
      const before = await saidAt();
      await until(async () => (await saidAt()) !== before, 'something is said in the session');
    }
    expect(lines.map(({ msg }) => msg)).toEqual(['events wait in the outbox: the broker takes none']);
  });
});

describe('two relays of one database', () => {
  it('take turns: the second publishes nothing until the first is stopped', async () => {
    let bySecond = 0;
    const second: TestBroker = {
      ...broker,
      publish: (messages) => {
        bySecond += messages.length;
        return broker.publish(messages);
      },
    };
    const first = await startRelay();
    await append(10);
    await drained();
    await startRelay(second);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    broker.onPublish = () => held;
    const { rows } = await pool.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    await append(10);
    // While the first is busy the second has tried for the lock, and for nothing else.
    await until(async () => {
      const tries = await pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%'
         AND application_name = 'orders outbox relay' AND state = 'idle' AND query_start > $1`,
        [rows[0]?.now],
      );
      return tries.rowCount === 1;
    }, 'the second has tried again');
    letGo();
    await drained();
    expect(broker.sent).toHaveLength(20);
    expect(bySecond).toBe(0);
    await first.stop();
    await append(10);
    await drained();
    expect(broker.sent).toHaveLength(30);
    expect(bySecond).toBe(10);
  });

  it('let nobody mark who has lost the lock meanwhile', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    broker.onAppended = () => held;
    await append(10);
    await startRelay();
    await until(() => broker.sent.length === 10, 'the first has sent');
    const other = createTestBroker();
    await startRelay(other);
    await pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    await drained();
    expect(other.sent).toHaveLength(10);
    const marks = () => pool.query('SELECT position, published_at FROM outbox ORDER BY position');
    const before = (await marks()).rows;
    letGo();
    await append(1);
    await drained();
    expect((await marks()).rows.slice(0, 10)).toEqual(before);
  });
});

describe('a broker that has lost its log', () => {
  const publishAll = async (count: number) => {
    await append(count);
    await startRelay();
    await drained();
    await relays.pop()?.stop();
    broker.loseLog();
    return broker.sent.length;
  };

  it('gets all of it again when the relay begins, in order', async () => {
    const before = await publishAll(900);
    await pool.query(`INSERT INTO announcement VALUES ($1, 'z')`, [topic]);
    await startRelay();
    await until(() => broker.sent.length === before + 900, 'all is sent again');
    await drained();
    expect(idsOf(broker.sent.slice(before))).toEqual(await outboxIds());
    expect((await pool.query('SELECT * FROM announcement')).rows).toEqual([]);
    expect(lines.map(({ level }) => level)).toEqual(['error']);
  });

  it('gets it again in order when that shows by the place of a new event only', async () => {
    const before = await publishAll(900);
    const ends = broker.endOffsets;
    // The log is lost after the relay looked, and before it publishes.
    broker.endOffsets = async () =>
      new Map([[topic, Array.from({ length: 8 }, (_, partition) => ({ partition, offset: 10_000n }))]]);
    await append(100);
    await startRelay();
    await drained();
    broker.endOffsets = ends;
    const again = idsOf(broker.sent.slice(before));
    expect(again.slice(-1_000)).toEqual(await outboxIds());
    const next = new Map<number, string>();
    for (const { partition, offset } of broker.sent) next.set(partition, String(offset + 1n));
    const known = await pool.query('SELECT partition, next_offset AS next FROM outbox_end ORDER BY 1');
    expect(known.rows).toEqual([...next].sort().map(([partition, offset]) => ({ partition, next: offset })));
  });

  it('is found out within seconds also while nothing is written', async () => {
    await append(50);
    await startRelay();
    await drained();
    broker.loseLog();
    await until(() => broker.sent.length === 100, 'all is sent again');
  });
});
