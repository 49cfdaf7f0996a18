import { beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger } from '@cinegraph/service/logger';
import { until } from '@cinegraph/testing/until';
import { beyondEnd } from '../../src/postgres/store.js';
import { allCommitted, message, openClients, openEventDatabase, orders } from './support.js';

describe('a PostgreSQL broker that has lost messages', () => {
  const database = openEventDatabase();
  const { connect, consume } = openClients();
  const warned: unknown[] = [];
  const logger = Object.assign(createLogger({ name: 'test', level: 'silent' }), {
    warn: (_facts: unknown, text: string) => warned.push(text),
  });
  beforeEach(() => {
    warned.length = 0;
  });

  it('a group gets every new message when all messages are lost and its committed offsets are not', async () => {
    const broker = await connect(database.url(), logger);
    const running = await consume(broker, 'test.lost.running');
    const stopped = await consume(broker, 'test.lost.stopped');
    await broker.publish([message('old 1', 'lost'), message('old 2', 'lost')]);
    for (const group of ['test.lost.running', 'test.lost.stopped']) await allCommitted(broker, group);
    await stopped.stop();
    warned.length = 0;
    await database.pool().query('TRUNCATE message, partition_end');
    const sent = Array.from({ length: 2_000 }, (_, n) => `new ${n}`);
    await broker.publish(sent.map((text) => message(text, 'lost')));
    const again = await consume(broker, 'test.lost.stopped');
    for (const { texts } of [running, again]) {
      await until(() => texts.includes('new 1999'), 'the last message came');
      expect(texts.filter((text) => text?.startsWith('new '))).toEqual(sent);
    }
    expect(new Set(warned)).toEqual(new Set([beyondEnd]));
  });

  it('a group starts at the oldest message again, with one warning per partition, when some messages are lost', async () => {
    const broker = await connect(database.url(), logger);
    const { texts } = await consume(broker, 'test.restored');
    const others = Array.from({ length: 10 }, (_, n) => message('x', `other ${n}`));
    await broker.publish(others);
    const positions = await broker.publish(['1', '2', '3', '4'].map((text) => message(text, 'restored')));
    const { partition, offset } = positions[0]!;
    await allCommitted(broker, 'test.restored');
    const committed = (await broker.positions('test.restored', [orders.name])).filter(
      (position) => position.committed !== null && position.committed > 0n,
    );
    expect(committed.length).toBeGreaterThan(1);
    [texts.length, warned.length] = [0, 0];
    const pool = database.pool();
    await pool.query(
      `DELETE FROM message WHERE partition <> ${partition} OR "offset" < ${offset} OR value > '2'`,
    );
    await pool.query(
      `UPDATE partition_end SET next_offset = CASE partition WHEN ${partition} THEN ${offset + 2n} ELSE 0 END
       WHERE topic = $1`,
      [orders.name],
    );
    await allCommitted(broker, 'test.restored');
    expect(texts).toEqual(['1', '2']);
    await broker.publish([message('5', 'restored'), ...others]);
    await until(() => texts.length === 13, 'the new messages came');
    expect(warned).toEqual(committed.map(() => beyondEnd));
  });
});
