import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { OutgoingMessage } from '../../src/broker.js';
import { listParked, resendParked } from '../../src/outbox/parked.js';
import {
  append,
  appendBundle,
  drained,
  idsOf,
  numbersOf,
  outbox,
  outboxIds,
  refuse,
  startRelay,
  upTo,
  useOutbox,
} from './support.js';

useOutbox();

const hasNumber =
  (...numbers: readonly number[]) =>
  ({ value }: OutgoingMessage): boolean =>
    numbers.some((n) => String(value).endsWith(`{"n":${n}}}`));
const isThird = hasNumber(3);
const acceptAll = () => (outbox.broker.onPublish = () => undefined);

const namesParked = async () => (await listParked(outbox.pool, 10)).entries.map(({ name }) => name);

/** Sends parked events again, and returns the numbers of the events that were published. */
const resend = async (names: readonly string[] | 'all'): Promise<readonly number[]> => {
  const before = outbox.broker.sent.length;
  await resendParked(outbox.pool, names);
  await drained();
  return numbersOf(outbox.broker.sent.slice(before));
};

describe('parked events', () => {
  it('one event of a bundle can be parked, and is sent again before the newest of its key', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, isThird);
    await appendBundle(500, { keys: 500 });
    await appendBundle(500, { keys: 500, from: 501 });
    await startRelay();
    await drained();
    expect(numbersOf(outbox.broker.sent)).toEqual(upTo(1_000).filter((n) => n !== 3));
    expect(await listParked(outbox.pool, 10)).toMatchObject({
      count: 1,
      entries: [{ name: '1.3', key: 'key3', type: 'OrderPlaced' }],
    });
    acceptAll();
    expect([...(await resendParked(outbox.pool, ['01.3', '1.4', '2.3']))]).toEqual(['01.3']);
    await drained();
    expect(numbersOf(outbox.broker.sent.slice(999))).toEqual([3, 503]);
    expect(new Set(idsOf(outbox.broker.sent))).toEqual(new Set(await outboxIds()));
  });

  it('a bundle loses no event that is sent again while others of it are being published', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let holding = false;
    outbox.broker.onPublish = async (messages) => {
      refuse(messages, isThird);
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

  it('an event that is rejected again keeps its name, and the events of a key their order', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, hasNumber(1, 2));
    await append(3, 1);
    await startRelay();
    await drained();
    expect(await namesParked()).toEqual(['1', '2']);
    expect(await resend(['1'])).toEqual([3]);
    expect(await namesParked()).toEqual(['1', '2']);
    acceptAll();
    expect(await resend('all')).toEqual([1, 2, 3]);
    expect(await namesParked()).toEqual([]);
  });

  it('an older event that was sent again before is not taken for the newest of its key', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, hasNumber(1, 2));
    await append(2, 1);
    await startRelay();
    await drained();
    acceptAll();
    expect(await resend(['1'])).toEqual([1]);
    expect(await resend(['2'])).toEqual([2]);
    await append(1, 1);
    await drained();
    expect(idsOf(outbox.broker.sent)).toEqual(await outboxIds());
  });

  it('a parked event is not published again when the broker loses its log, and one sent again is', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, hasNumber(3, 5));
    await appendBundle(7);
    await startRelay();
    await drained();
    acceptAll();
    expect(await resend(['1.3'])).toEqual([3]);
    outbox.broker.loseLog();
    const before = outbox.broker.sent.length;
    await until(() => outbox.broker.sent.length >= before + 6, 'all is published again');
    await drained();
    expect(numbersOf(outbox.broker.sent.slice(before))).toEqual([1, 2, 4, 6, 7, 3]);
    expect(await namesParked()).toEqual(['1.5']);
  });

  it('a batch whose events are all rejected is parked and does not stop the next one', async () => {
    outbox.broker.onPublish = (messages) => refuse(messages, hasNumber(1, 2, 3, 4));
    await appendBundle(2);
    await append(2);
    await appendBundle(2, { from: 3 });
    await appendBundle(1, { from: 5 });
    await startRelay();
    await drained();
    expect(numbersOf(outbox.broker.sent)).toEqual([5]);
    expect(await namesParked()).toEqual(['1.1', '1.2', '2', '3', '4.1', '4.2']);
  });
});
