import { describe, expect, it } from '@jest/globals';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { seededRandom } from '@cinegraph/testing/seed';
import { ingestWith, lettersIn, ratingsIn, replayAll, useIngestWorld } from './ingest-world.js';
import { externalEvent, envelopeOf, signed, testLog } from './messages.js';

const ingestWorld = useIngestWorld();

describe('messages that cannot be consumed', () => {
  const signedWith = (change: object) =>
    signed({ ...envelopeOf({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 }), ...change });
  const poisons: readonly (readonly [
    string,
    () => readonly [unknown, { headers: Record<string, string> }?],
  ])[] = [
    ['NOT_AN_EVENT', () => [null]],
    ['NOT_AN_EVENT', () => ['']],
    ['NOT_AN_EVENT', () => ['{"userId": 1,']],
    ['NOT_AN_EVENT', () => [Buffer.from([0xff, 0xfe, 0x00, 0x7b])]],
    ['NOT_AN_EVENT', () => ['[1, 2]']],
    ['MESSAGE_TOO_LARGE', () => [{ ...externalEvent(1, 'm', 5), extra: 'x'.repeat(2 ** 20 - 200) }]],
    ['RATING_OUT_OF_RANGE', () => [externalEvent(1, 'm', 11)]],
    ['RATING_OUT_OF_RANGE', () => [externalEvent(1, 'm', -5)]],
    ['UNSUPPORTED_RECORD_TYPE', () => [{ ...externalEvent(1, 'm', 5), recordType: 'series' }]],
    ['UNSUPPORTED_EVENT_TYPE', () => [{ ...externalEvent(1, 'm', 5), eventType: 'upsert' }]],
    ['NOT_AN_EVENT', () => [externalEvent('a\u0000b', 'm', 5)]],
    ['UNSIGNED_EVENT', () => [envelopeOf({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 })]],
    ['UNKNOWN_EVENT', () => signedWith({ type: 'RatingAdored' })],
    ['UNKNOWN_EVENT', () => signedWith({ version: 99 })],
    [
      'INVALID_EVENT',
      () => signedWith({ data: { movieId: 'm', viewerId: 'cinema:ann', score: 94, version: 1 } }),
    ],
    [
      'INVALID_EVENT',
      () =>
        signedWith({
          data: { movieId: 'm', viewerId: 'cinema:\u0000', score: 9, review: null, version: 1 },
        }),
    ],
  ];

  it('messages that cannot be consumed become dead letters with a reason, and all others are applied', async () => {
    const random = seededRandom('poison');
    const append = testLog();
    const good = Array.from(
      { length: 990 },
      (_, n) => ['good', externalEvent(n, `m:${n % 30}`, (n % 10) + 1)] as const,
    );
    const bad = poisons.map(([code, message]) => [code, message] as const);
    const log = random
      .shuffled<(typeof good)[number] | (typeof bad)[number]>([...good, ...bad])
      .map(([code, what]) => ({
        code,
        message: typeof what === 'function' ? append(...what()) : append(what),
      }));
    for (let at = 0; at < log.length; at += 300) {
      await ingestWorld().ingest.deliver(log.slice(at, at + 300).map(({ message }) => message));
    }
    expect((await ratingsIn(ingestWorld())).length).toBe(990);
    expect(await ingestWorld().world.drift()).toEqual([]);
    const expected = log.filter(({ code }) => code !== 'good');
    const { rows } = await ingestWorld().world.subgraph.pool.query<{
      code: string;
      offset: string;
      same: boolean;
    }>(`
      SELECT d.code, d."offset"::text, o.topic = 'ratings.dlq' AND o.value IS NOT DISTINCT FROM d.value AS same
      FROM messaging.dead_letter d JOIN messaging.outbox o ON o.headers ->> 'dead-letter-offset' = d."offset"::text ORDER BY d."offset"`);
    expect(rows).toEqual(
      expected.map(({ code, message }) => ({ code, offset: String(message.offset), same: true })),
    );
    expect(new Set(await replayAll(ingestWorld()))).toEqual(new Set(['refused']));
    expect((await lettersIn(ingestWorld())).length).toBe(poisons.length);
  });

  it('events without a configured scale become dead letters, and are replayed with their append times', async () => {
    const append = testLog();
    const early = [append(externalEvent(1, 'm', 2)), append(externalEvent(2, 'm', 3))];
    const late = append(externalEvent(1, 'm', 9));
    const unset = await openDeliveries(
      { subgraph: 'rating', pool: ingestWorld().world.subgraph.pool },
      ingestWith({ scale: undefined }),
    );
    await unset.deliver(early);
    await unset.stop();
    expect(await lettersIn(ingestWorld())).toMatchObject(
      early.map(() => ({ code: 'SCALE_UNKNOWN', reason: expect.stringContaining('Set INGEST_SCALE') })),
    );
    await ingestWorld().ingest.deliver([late]);
    expect(await replayAll(ingestWorld())).toEqual(['replayed', 'replayed']);
    expect(await replayAll(ingestWorld())).toEqual([]);
    await ingestWorld().ingest.deliver(early);
    expect(await ratingsIn(ingestWorld())).toEqual(['vega:m ratings:1 9', 'vega:m ratings:2 3']);
  });
});
