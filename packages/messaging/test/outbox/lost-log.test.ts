import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import {
  append,
  appendBundle,
  drained,
  idsOf,
  numbersOf,
  outbox,
  outboxIds,
  startRelay,
  topic,
  upTo,
  useOutbox,
} from './support.js';

useOutbox();

describe('a lost log', () => {
  const publishAll = async (count: number) => {
    await append(count);
    await startRelay();
    await drained();
    await outbox.relays.pop()?.stop();
    outbox.broker.loseLog();
    return outbox.broker.sent.length;
  };

  it('a broker that lost its log gets all events again, in order, when the relay starts', async () => {
    const before = await publishAll(900);
    await outbox.pool.query(`INSERT INTO messaging.backfill VALUES ($1, 'z')`, [topic]);
    await startRelay();
    await until(() => outbox.broker.sent.length === before + 900, 'all is sent again');
    await drained();
    expect(idsOf(outbox.broker.sent.slice(before))).toEqual(await outboxIds());
    expect((await outbox.pool.query('SELECT * FROM messaging.backfill')).rows).toEqual([]);
    expect(outbox.lines.map(({ level }) => level)).toEqual(['error']);
  });

  it('a broker that lost its log gets all events again if only the offset of a new event shows the loss', async () => {
    const before = await publishAll(900);
    const ends = outbox.broker.endOffsets;
    // The log is lost after the relay looked, and before it publishes.
    outbox.broker.endOffsets = async () =>
      new Map([[topic, Array.from({ length: 8 }, (_, partition) => ({ partition, offset: 10_000n }))]]);
    await append(100);
    await startRelay();
    await drained();
    outbox.broker.endOffsets = ends;
    const again = idsOf(outbox.broker.sent.slice(before));
    expect(again.slice(-1_000)).toEqual(await outboxIds());
    const next = new Map<number, string>();
    for (const { partition, offset } of outbox.broker.sent) next.set(partition, String(offset + 1n));
    const known = await outbox.pool.query(
      'SELECT partition, next_offset AS next FROM messaging.outbox_end ORDER BY 1',
    );
    expect(known.rows).toEqual([...next].sort().map(([partition, offset]) => ({ partition, next: offset })));
  });

  it('a topic that lost one partition gets all its events again, in order, and other topics get none', async () => {
    await outbox.pool.query(
      `INSERT INTO messaging.outbox (type, topic, key, payload) VALUES ('PricePaid', 'prices.v1', 'k', '{}')`,
    );
    await appendBundle(500, { keys: 50 });
    await appendBundle(3, { from: 501 });
    await startRelay();
    await drained();
    const before = outbox.broker.sent.length;
    const ends = outbox.broker.endOffsets;
    outbox.broker.endOffsets = async (topics) => {
      const present = new Map(await ends(topics));
      const [first, ...others] = present.get(topic) ?? [];
      return present.set(topic, first ? [{ ...first, offset: 0n }, ...others] : []);
    };
    await until(() => outbox.broker.sent.length > before, 'the loss is noticed');
    outbox.broker.endOffsets = ends;
    await drained();
    expect(numbersOf(outbox.broker.sent.slice(before))).toEqual(upTo(503));
  });

  it('a lost log is detected within seconds, also while nothing is appended', async () => {
    await append(50);
    await startRelay();
    await drained();
    outbox.broker.loseLog();
    await until(() => outbox.broker.sent.length === 100, 'all is sent again');
  });
});
