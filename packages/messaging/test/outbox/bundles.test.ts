import { describe, expect, it } from '@jest/globals';
import { MessageRefused } from '../../src/broker.js';
import { until } from '@cinegraph/testing/until';
import { listParked, resendParked } from '../../src/outbox/parked.js';
import {
  append,
  appendBundle,
  drained,
  eventOf,
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

describe('bundles', () => {
  it('a bundle is published as one message for each event, each with its own id, key and trace', async () => {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await outbox.pool.query(
      `INSERT INTO messaging.outbox (event_id, type, version, topic, size, events)
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
    expect(outbox.broker.attempts()).toBe(1);
    const event = { type: 'OrderPlaced', version: 2, producer: 'orders' };
    expect(outbox.broker.sent.map(eventOf)).toMatchObject([
      { ...event, id: '0199c0de-0000-7000-8000-00000000ffff', key: 'a', trace, data: { n: 1 } },
      { ...event, id: '0199c0de-0000-7000-8000-000000000000', key: 'b', data: { n: 2 } },
    ]);
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    const { rows } = await outbox.pool.query(
      'SELECT key, partition FROM messaging.outbox_event ORDER BY ordinal',
    );
    expect(rows).toEqual(outbox.broker.sent.map(({ key, partition }) => ({ key, partition })));
  });

  it('a bundle larger than a batch is published completely before the rows after it', async () => {
    await appendBundle(4_200);
    await appendBundle(300, { from: 4_201 });
    await startRelay();
    await drained();
    expect(numbersOf(outbox.broker.sent)).toEqual(upTo(4_500));
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    expect(new Set(idsOf(outbox.broker.sent)).size).toBe(4_500);
  });

  it('a bundle keeps its order and loses nothing while the broker accepts fewer messages and sometimes fails', async () => {
    outbox.broker.onPublish = (messages) => {
      if (messages.length > 100) throw new MessageRefused('they are too many');
      if (outbox.broker.attempts() % 3 === 0) throw new Error('the broker is unavailable');
    };
    await appendBundle(500);
    await append(20);
    await appendBundle(500, { from: 501 });
    await startRelay();
    await drained();
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    expect(outbox.broker.sent).toHaveLength(1_020);
  });

  it('one event of a bundle can be parked, and is sent again before the newest of its key', async () => {
    outbox.broker.onPublish = (messages) => {
      if (messages.some(({ value }) => String(value).endsWith('{"n":3}}')))
        throw new MessageRefused('it is too large');
    };
    await appendBundle(500, { keys: 500 });
    await appendBundle(500, { keys: 500, from: 501 });
    await startRelay();
    await drained();
    expect(numbersOf(outbox.broker.sent)).toEqual(upTo(1_000).filter((n) => n !== 3));
    expect(await listParked(outbox.pool, 10)).toMatchObject({
      count: 1,
      entries: [{ name: '1.3', key: 'key3', type: 'OrderPlaced' }],
    });
    outbox.broker.onPublish = () => undefined;
    expect([...(await resendParked(outbox.pool, ['01.3', '1.4', '2.3']))]).toEqual(['01.3']);
    await drained();
    expect(numbersOf(outbox.broker.sent.slice(999))).toEqual([3, 503]);
    expect([...new Set(idsOf(outbox.broker.sent))].toSorted()).toEqual([...(await outboxIds())].toSorted());
  });

  it('a bundle loses no event that is sent again while others of it are being published', async () => {
    const isThird = ({ value }: { readonly value: Buffer | null }): boolean =>
      String(value).endsWith('{"n":3}}');
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let holding = false;
    outbox.broker.onPublish = async (messages) => {
      if (messages.some(isThird)) throw new MessageRefused('it is too large');
      if ((await listParked(outbox.pool, 1)).count === 0) return;
      holding = true;
      await held;
    };
    await appendBundle(500);
    await startRelay();
    await until(() => holding, 'one is parked, and others are being published');
    outbox.broker.onPublish = () => held;
    expect([...(await resendParked(outbox.pool, 'all'))]).toEqual(['1.3']);
    letGo();
    await drained();
    expect(numbersOf(outbox.broker.sent).toSorted((one, other) => one - other)).toEqual(upTo(500));
  });

  it('only those events of a bundle whose partition lost them are published again', async () => {
    await appendBundle(500, { keys: 50 });
    await appendBundle(3, { from: 501 });
    await startRelay();
    await drained();
    const [{ partition } = { partition: 0 }] = outbox.broker.sent;
    const there = outbox.broker.sent.filter((message) => message.partition === partition);
    const before = outbox.broker.sent.length;
    const ends = outbox.broker.endOffsets;
    outbox.broker.endOffsets = async (topics) => {
      const all = await ends(topics);
      return new Map(
        [...all].map(([name, places]) => [
          name,
          places.map((place) => (place.partition === partition ? { ...place, offset: 0n } : place)),
        ]),
      );
    };
    await until(() => outbox.broker.sent.length === before + there.length, 'they are sent again');
    outbox.broker.endOffsets = ends;
    await drained();
    expect(idsOf(outbox.broker.sent.slice(before))).toEqual(idsOf(there));
  });
});
