import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { append, drained, outbox, startRelay, useOutbox } from './support.js';

useOutbox();

describe('a long-running relay', () => {
  it('a relay deletes thousands of old entries within seconds', async () => {
    await append(4_000);
    await outbox.pool.query(`UPDATE messaging.outbox SET published_at = now() - interval '73 hours'`);
    await startRelay();
    await until(async () => {
      const { rowCount } = await outbox.pool.query('SELECT FROM messaging.outbox LIMIT 1');
      return rowCount === 0;
    }, 'all are removed');
  });

  it('a relay reads a backlog in index order, however few entries the planner expects', async () => {
    const touched = async () => {
      const { rows } = await outbox.pool.query<{ touched: number }>(
        `SELECT (seq_tup_read + idx_tup_fetch)::int AS touched FROM pg_stat_user_tables WHERE relname = 'outbox'`,
      );
      return rows[0]?.touched ?? 0;
    };
    await append(5_000);
    await startRelay();
    await drained();
    await outbox.relays.pop()?.stop();
    await outbox.pool.query('VACUUM ANALYZE messaging.outbox');
    await append(40_000);
    const before = await touched();
    await startRelay();
    await until(() => outbox.broker.sent.length === 45_000, 'all is published');
    await outbox.relays.pop()?.stop();
    // Each is read to be published, beside the batch before it, and to be marked.
    await until(async () => (await touched()) - before >= 80_000, 'what was touched is told');
    expect((await touched()) - before).toBeLessThan(300_000);
  });

  it('a relay keeps its session while the broker is unavailable, although it has nothing to query', async () => {
    await append(1);
    await startRelay();
    await drained();
    outbox.broker.endOffsets = async () => {
      throw new Error('the broker is unavailable');
    };
    const saidAt = async () => {
      const { rows } = await outbox.pool.query<{ at: string }>(
        `SELECT query_start::text AS at FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'orders outbox relay'`,
      );
      return rows[0]?.at;
    };
    await until(() => outbox.lines.length > 0, 'the relay has noticed it');
    for (let times = 0; times < 3; times += 1) {
      const before = await saidAt();
      await until(async () => (await saidAt()) !== before, 'something is said in the session');
    }
    expect(outbox.lines.map(({ msg }) => msg)).toEqual([
      'events wait in the outbox: the broker is unavailable',
    ]);
  });
});
