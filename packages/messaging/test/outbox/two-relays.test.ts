import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { createTestBroker, type TestBroker } from '@cinegraph/testing/broker';
import { append, drained, outbox, startRelay, useOutbox } from './support.js';

useOutbox();

describe('two relays of one database', () => {
  it('the second of two relays publishes nothing until the first is stopped', async () => {
    let bySecond = 0;
    const second: TestBroker = {
      ...outbox.broker,
      publish: (messages) => {
        bySecond += messages.length;
        return outbox.broker.publish(messages);
      },
    };
    const first = await startRelay();
    await append(10);
    await drained();
    await startRelay(second);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    outbox.broker.onPublish = () => held;
    const { rows } = await outbox.pool.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    await append(10);
    // While the first is busy the second has tried for the lock, and for nothing else.
    await until(async () => {
      const tries = await outbox.pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%'
         AND application_name = 'orders outbox relay' AND state = 'idle' AND query_start > $1`,
        [rows[0]?.now],
      );
      return tries.rowCount === 1;
    }, 'the second has tried again');
    letGo();
    await drained();
    expect(outbox.broker.sent).toHaveLength(20);
    expect(bySecond).toBe(0);
    await first.stop();
    await append(10);
    await drained();
    expect(outbox.broker.sent).toHaveLength(30);
    expect(bySecond).toBe(10);
  });

  it('a relay that has lost the lock cannot mark events as published', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    outbox.broker.onAppended = () => held;
    await append(10);
    await startRelay();
    await until(() => outbox.broker.sent.length === 10, 'the first has sent');
    const other = createTestBroker();
    await startRelay(other);
    await outbox.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    await drained();
    expect(other.sent).toHaveLength(10);
    const marks = () =>
      outbox.pool.query('SELECT position, published_at FROM messaging.outbox ORDER BY position');
    const before = (await marks()).rows;
    letGo();
    await append(1);
    await drained();
    expect((await marks()).rows.slice(0, 10)).toEqual(before);
  });
});
