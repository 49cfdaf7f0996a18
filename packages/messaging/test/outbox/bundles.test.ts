import { describe, expect, it } from '@jest/globals';
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

  it('a bundle keeps its order and loses nothing while the broker sometimes fails', async () => {
    outbox.broker.onPublish = () => {
      if (outbox.broker.attempts() % 3 !== 0) throw new Error('the broker is unavailable');
    };
    await appendBundle(500);
    await append(20);
    await appendBundle(500, { from: 501 });
    await startRelay();
    await drained();
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
    expect(outbox.broker.sent).toHaveLength(1_020);
  });
});
