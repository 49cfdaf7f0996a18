import { describe, expect, it } from '@jest/globals';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { codesIn, ingestWith, ratingsIn, useIngestWorld } from './ingest-world.js';
import { externalEvent, envelopeOf, signed, testLog } from './messages.js';

const ingestWorld = useIngestWorld();

describe('a rating that comes in by the topic', () => {
  it('a consumed rating counts like a mutation, in both external dialects and in an envelope', async () => {
    const append = testLog();
    await ingestWorld().world.know('vega:1');
    await ingestWorld().ingest.deliver([
      append(externalEvent(105, '1', 5)),
      append({ user_id: 106, record_id: 'vega:1', record_type: 'movie', value: 7, event_type: 'submit' }),
      append(...signed(envelopeOf({ movieId: 'vega:1', viewerId: 'cinema:ann', score: 9, version: 1 }))),
    ]);
    expect(await ratingsIn(ingestWorld())).toEqual([
      'vega:1 cinema:ann 9',
      'vega:1 ratings:105 5',
      'vega:1 ratings:106 7',
    ]);
    expect(await ingestWorld().world.aggregateOf('vega:1')).toMatchObject({ count: 3, average: 7 });
    expect(await ingestWorld().world.drift()).toEqual([]);
    const { rows } = await ingestWorld().world.subgraph.pool.query(
      `SELECT type, count(*)::int FROM messaging.outbox_event GROUP BY type ORDER BY type`,
    );
    expect(rows).toEqual([
      { type: 'AggregatedRatingChanged', count: 1 },
      { type: 'RatingSubmitted', count: 3 },
    ]);
  });

  it('a consumed rating is one vote even if its event arrives three times', async () => {
    const append = testLog();
    await ingestWorld().world.know('m');
    const event = envelopeOf({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 });
    const other = externalEvent(1, 'm:x', 4);
    const message = append(other);
    await ingestWorld().ingest.deliver([
      append(...signed(event)),
      append(...signed(event)),
      message,
      message,
    ]);
    await ingestWorld().ingest.deliver([append(...signed(event)), message]);
    expect(await ratingsIn(ingestWorld())).toEqual(['m cinema:ann 9', 'm:x ratings:1 4']);
    expect(await ingestWorld().world.aggregateOf('m')).toMatchObject({ count: 1, average: 9 });
    const { rows } = await ingestWorld().world.subgraph.pool.query(
      `SELECT count(*)::int AS published FROM messaging.outbox_event WHERE type = 'RatingSubmitted'`,
    );
    expect(rows).toEqual([{ published: 2 }]);
  });

  it('a consumed rating on a scale of five is doubled, half steps included', async () => {
    const append = testLog();
    const five = await openDeliveries(
      { subgraph: 'rating', pool: ingestWorld().world.subgraph.pool },
      ingestWith({ scale: 5 }),
    );
    await five.deliver([append(externalEvent(1, 'm', 4.5)), append(externalEvent(2, 'm', 6))]);
    await five.stop();
    expect(await ratingsIn(ingestWorld())).toEqual(['vega:m ratings:1 9']);
    expect(await codesIn(ingestWorld())).toEqual(['RATING_OUT_OF_RANGE']);
  });

  it('a consumed rating is kept while its movie is unknown, shows once it comes, and is refused once it is deleted', async () => {
    const append = testLog();
    await ingestWorld().ingest.deliver([append(externalEvent(1, 'm:new', 8))]);
    expect(await ingestWorld().world.aggregateOf('m:new')).toMatchObject({ count: 0, average: null });
    await ingestWorld().world.know('m:new');
    expect(await ingestWorld().world.aggregateOf('m:new')).toMatchObject({ count: 1, average: 8 });
    await ingestWorld().world.remove('m:new');
    await ingestWorld().ingest.deliver([
      append(externalEvent(2, 'm:new', 3)),
      append(externalEvent(1, 'm:new', null)),
    ]);
    expect(await codesIn(ingestWorld())).toEqual(['MOVIE_DELETED']);
    expect(await ingestWorld().world.aggregateOf('m:new')).toMatchObject({ count: 0, average: null });
  });
});

describe('the producer of a rating', () => {
  const rating = { movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 };

  type Message = readonly [value: Buffer, more?: { readonly headers: Record<string, string> }];
  const misuses: readonly (readonly [what: string, message: () => Message, code: string])[] = [
    ['unsigned', () => [Buffer.from(JSON.stringify(envelopeOf(rating)))] as const, 'UNSIGNED_EVENT'],
    ['signed by another', () => signed(envelopeOf(rating), { signer: 'other' }), 'FORGED_EVENT'],
    [
      'signed for another topic',
      () => signed(envelopeOf(rating), { topic: 'rating.ratings.v1' }),
      'FORGED_EVENT',
    ],
    [
      'changed after it was signed',
      () => {
        const [value, more] = signed(envelopeOf(rating));
        return [Buffer.from(value.toString().replace('"score":9', '"score":1')), more] as const;
      },
      'FORGED_EVENT',
    ],
    [
      'for a viewer of another producer',
      () => signed(envelopeOf({ ...rating, viewerId: 'other:ann' })),
      'FOREIGN_VIEWER',
    ],
    ['for an account of ours', () => signed(envelopeOf({ ...rating, viewerId: 'ann' })), 'FOREIGN_VIEWER'],
    [
      'for a viewer without a name',
      () => signed(envelopeOf({ ...rating, viewerId: 'cinema:' })),
      'FOREIGN_VIEWER',
    ],
    [
      'by a producer that is named like a subgraph',
      () => signed(envelopeOf({ ...rating, viewerId: 'rating:ann' }, { producer: 'rating' })),
      'FOREIGN_VIEWER',
    ],
    [
      'by a producer that is named like the prefix of the dialects',
      () => signed(envelopeOf({ ...rating, viewerId: 'ratings:1' }, { producer: 'ratings' })),
      'FOREIGN_VIEWER',
    ],
    [
      'by a producer that is named like a source of files',
      () => signed(envelopeOf({ ...rating, viewerId: 'movielens:1' }, { producer: 'movielens' })),
      'FOREIGN_VIEWER',
    ],
  ];

  it.each(misuses)('an event is refused if it is %s', async (_what, message, code) => {
    await ingestWorld().ingest.deliver([testLog()(...message())]);
    expect(await codesIn(ingestWorld())).toEqual([code]);
    expect(await ratingsIn(ingestWorld())).toEqual([]);
  });

  it('an event with the id of another producer does not count as its duplicate', async () => {
    const append = testLog();
    const event = envelopeOf(rating);
    const thief = envelopeOf({ ...rating, viewerId: 'thief:x' }, { producer: 'thief', id: event.id });
    await ingestWorld().ingest.deliver([
      append(...signed(thief)),
      append(...signed(event, { signer: 'thief' })),
      append(...signed(event)),
    ]);
    expect(await ratingsIn(ingestWorld())).toEqual(['m cinema:ann 9', 'm thief:x 9']);
  });
});
