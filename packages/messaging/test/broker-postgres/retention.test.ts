import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { pruneMessages } from '../../src/postgres/retention.js';
import { lockNumber } from '../../src/postgres/store.js';
import { message, openClients, openEventDatabase, orders, prices } from './support.js';

describe('retention of the PostgreSQL broker', () => {
  const database = openEventDatabase();
  const { connect, consume } = openClients();

  /** Prunes once no broker of the test prunes at the same time. */
  const prune = async () => {
    const pool = database.pool();
    await pool.query('SELECT pg_advisory_lock($1), pg_advisory_unlock($1)', [lockNumber('prune')]);
    await pruneMessages(pool);
  };

  it('a group starts with the oldest message left when retention has removed those before it', async () => {
    const broker = await connect(database.url());
    const old = await broker.publish([message('old 1', 'pruned'), message('old 2', 'pruned')]);
    const { partition, offset } = old[1]!;
    await database.pool().query(`UPDATE message SET appended_at = now() - interval '7 days 1 minute'`);
    const before = await consume(broker, 'test.before');
    await until(() => before.texts.includes('old 2'), 'the old messages came before the pruning');
    await prune();
    await broker.publish([message('new', 'pruned')]);
    const after = await consume(broker, 'test.after');
    await until(() => after.texts.includes('new'), 'the new message came');
    expect(after.texts).toEqual(['new']);
    await until(async () => {
      const positions = await broker.positions('test.after', [orders.name]);
      return positions.find((position) => position.partition === partition)?.committed === offset + 2n;
    }, 'the new message is committed');
  });

  it('messages are kept for seven days, and the newest one of each key of a compacted topic for ever', async () => {
    const broker = await connect(database.url());
    const pool = database.pool();
    await pool.query('DELETE FROM message');
    const longKey = 'k'.repeat(10_000);
    await broker.publish([
      ...['1', '2', '3'].map((text) => message(text, 'a', prices)),
      ...['1', '2'].map((text) => message(text, longKey, prices)),
      ...[message('1', 'gone', prices), message(null, 'gone', prices), message('no key', null, prices)],
      ...[message('1', 'a'), message('2', 'a')],
    ]);
    await pool.query(`UPDATE message SET appended_at = now() - interval '8 days'`);
    await broker.publish([message('4', 'a', prices), message('young', 'a')]);
    await pool.query(`UPDATE message SET appended_at = now() - interval '6 days' WHERE value = 'young'`);
    await prune();
    const { rows } = await pool.query<{ topic: string; value: Buffer }>(
      'SELECT topic, value FROM message ORDER BY topic, value',
    );
    expect(rows.map(({ topic, value }) => `${topic} ${value.toString()}`)).toEqual([
      'shop.orders.v1 young',
      'shop.prices.v1 2',
      'shop.prices.v1 4',
    ]);
  });
});
