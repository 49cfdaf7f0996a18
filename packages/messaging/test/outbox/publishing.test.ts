import { describe, expect, it } from '@jest/globals';
import { testPool } from '@cinegraph/testing/database';
import { resendParked } from '../../src/outbox/parked.js';
import { batchLimits } from '../../src/outbox/table.js';
import { until } from '@cinegraph/testing/until';
import {
  append,
  drained,
  eventOf,
  idsOf,
  outbox,
  outboxIds,
  refuse,
  startRelay,
  topic,
  useOutbox,
} from './support.js';

useOutbox();

describe('publishing', () => {
  it('the relay publishes an event in a signed envelope, and records the end of its partition', async () => {
    await outbox.pool.query(
      `INSERT INTO messaging.outbox (type, version, topic, key, payload, trace)
       VALUES ('OrderPlaced', 2, $1, 'k', '{"n": 1}', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')`,
      [topic],
    );
    await startRelay();
    await drained();
    const { rows } = await outbox.pool.query<{ event_id: string; created_at: Date }>(
      'SELECT * FROM messaging.outbox',
    );
    const [message] = outbox.broker.sent;
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
    const ends = await outbox.pool.query('SELECT * FROM messaging.outbox_end');
    expect(ends.rows).toEqual([{ topic, partition: message?.partition, next_offset: '1' }]);
  });

  it('the relay publishes a copied message unchanged', async () => {
    await outbox.pool
      .query(`INSERT INTO messaging.outbox (topic, key, value, headers) VALUES ('in.dlq', NULL, '\\x00ff', '{"code": "BAD"}'),
      ('in.dlq', 'k', NULL, '{}')`);
    await startRelay();
    await drained();
    expect(outbox.broker.sent).toMatchObject([
      { topic: 'in.dlq', key: null, value: Buffer.from([0, 255]), headers: { code: 'BAD' } },
      { topic: 'in.dlq', key: 'k', value: null, headers: {} },
    ]);
  });

  it('the relay is notified of a new event long before its next poll', async () => {
    await startRelay();
    await append(1);
    await drained();
    const started = performance.now();
    for (let round = 0; round < 20; round += 1) {
      await append(1);
      await until(() => outbox.broker.sent.length === round + 2, 'the event is sent');
    }
    // Twenty looks a second apart would take twenty seconds.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('the relay publishes a backlog of 1,000 events, and then new ones', async () => {
    await append(1_000);
    await startRelay();
    await drained();
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    await append(1);
    await drained();
    expect(outbox.broker.sent).toHaveLength(1_001);
  });

  it('the relay loses no event while the broker is unavailable, and logs that once', async () => {
    let refusals = 0;
    outbox.broker.onPublish = () => {
      if ((refusals += 1) <= 5) throw new Error('the broker is unavailable');
    };
    await append(4_200);
    await startRelay();
    await drained();
    expect(refusals).toBeGreaterThan(5);
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    expect(outbox.lines).toEqual([
      { level: 'warn', msg: 'events wait in the outbox: the broker is unavailable' },
      { level: 'info', msg: 'the broker is available again' },
    ]);
  });

  it('the relay publishes an event again if the broker appended it without an acknowledgement', async () => {
    let failures = 0;
    outbox.broker.onAppended = () => {
      if ((failures += 1) <= 2) throw new Error('the acknowledgement is lost');
    };
    await append(2_500);
    await startRelay();
    await drained();
    expect(new Set(idsOf(outbox.broker.sent))).toEqual(new Set(await outboxIds()));
    expect(outbox.broker.sent).toHaveLength(2_500 + 2 * batchLimits.events);
  });

  it('the relay publishes exactly the committed events, also when commits are not in order of position', async () => {
    await startRelay();
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => testPool(outbox.database.url).connect()),
    );
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
    expect(idsOf(outbox.broker.sent).toSorted()).toEqual([...(await outboxIds())].toSorted());
    expect(outbox.broker.sent).toHaveLength(committed);
  });

  it('the relay keeps the order of the events of a key whose writers lock it', async () => {
    await outbox.pool.query('CREATE TABLE state (key text PRIMARY KEY, n int NOT NULL)');
    await outbox.pool.query(`INSERT INTO state VALUES ('a', 0), ('b', 0), ('c', 0)`);
    const pools = Array.from({ length: 6 }, () => testPool(outbox.database.url));
    await Promise.all(
      pools.map(async (writer, index) => {
        for (let n = 0; n < 60; n += 1) {
          // By then much waits, and more comes.
          if (index === 0 && n === 30) await startRelay();
          await writer.query(
            `WITH moved AS (UPDATE state SET n = n + 1 WHERE key = $2 RETURNING key, n)
             INSERT INTO messaging.outbox (type, topic, key, payload)
             SELECT 'OrderChanged', $1, key, jsonb_build_object('n', n) FROM moved`,
            [topic, 'abc'[(index + n) % 3]],
          );
        }
      }),
    );
    await drained();
    await Promise.all(pools.map((writer) => writer.end()));
    for (const key of ['a', 'b', 'c']) {
      const numbers = outbox.broker.sent
        .filter((message) => message.key === key)
        .map((message) => (eventOf(message).data as { n: number }).n);
      expect(numbers).toEqual(Array.from({ length: 120 }, (_, index) => index + 1));
    }
  });

  it('the relay parks an event that the broker rejects for good, and publishes all others', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, ({ key }) => key === 'huge');
    await append(600);
    await outbox.pool.query(
      `INSERT INTO messaging.outbox (type, topic, key, payload) VALUES ('OrderPlaced', $1, 'huge', '{}')`,
      [topic],
    );
    await append(600);
    await startRelay();
    await drained();
    expect(outbox.broker.sent).toHaveLength(1_200);
    const { rows } = await outbox.pool.query('SELECT key, reason FROM messaging.outbox_parked');
    expect(rows).toEqual([{ key: 'huge', reason: 'it is too large' }]);
    expect(outbox.lines).toEqual([
      { level: 'error', msg: 'the broker rejected this event for good: it is parked' },
    ]);
  });

  it('the relay publishes at most a megabyte at a time, and a larger event alone', async () => {
    const sizes: number[] = [];
    outbox.broker.onPublish = (messages) => {
      sizes.push(messages.length);
    };
    await outbox.pool.query(
      `INSERT INTO messaging.outbox (topic, value, headers)
       SELECT 'in.dlq', decode(repeat('ab', bytes), 'hex'), '{}'
       FROM (VALUES (400000), (400000), (400000), (3000000), (10)) AS size (bytes)`,
    );
    await startRelay();
    await drained();
    expect(sizes).toEqual([2, 1, 1, 1]);
  });

  it('the relay deletes what was published more than three days ago, and no parked event', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, ({ value }) => /[15]}}$/.test(String(value)));
    await append(6);
    await startRelay();
    await drained();
    await outbox.relays.pop()?.stop();
    await resendParked(outbox.pool, ['5']);
    await outbox.pool.query(
      `UPDATE messaging.outbox SET published_at = now() - interval '73 hours' WHERE position IN (2, 4, 7)`,
    );
    await outbox.pool.query(`UPDATE messaging.outbox SET published_at = NULL WHERE position = 3`);
    await outbox.pool.query(`UPDATE messaging.outbox_parked SET parked_at = now() - interval '73 hours'`);
    outbox.broker.onPublish = () => {
      throw new Error('the broker is unavailable');
    };
    await startRelay();
    const positions = async (table: string) => {
      const { rows } = await outbox.pool.query<{ position: string }>(
        `SELECT position FROM messaging.${table} ORDER BY position`,
      );
      return rows.map(({ position }) => position).join();
    };
    await until(async () => (await positions('outbox')) === '3,6', 'they are removed');
    expect(await positions('outbox_parked')).toBe('1');
  });
});
