import { describe, expect, it } from '@jest/globals';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { codesIn, ingestWith, lettersIn, ratingsIn, useIngestWorld } from './ingest-world.js';
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

describe('what an external rating says', () => {
  it('the provider of a rating is kept and counted, and one vote of a viewer and movie stays', async () => {
    const append = testLog();
    const { world, ingest } = ingestWorld();
    await world.know('vega:1');
    const event = (user: number, value: number | null, providerId: unknown) =>
      append({ ...externalEvent(user, '1', value), providerId });
    const snake = { record_id: '1', record_type: 'movie', value: 7, event_type: 'submit' };
    await ingest.deliver([
      ...[event(1, 5, 'a'), event(2, 6, 'a'), event(3, 7, 'b'), event(4, 8, 'b'), event(4, null, 'b')],
      ...[event(5, 9, null), event(6, 9, '')],
      ...[append({ ...snake, user_id: 7, provider_id: 12 }), append({ ...snake, user_id: 8 })],
    ]);
    // The same viewer by another provider replaces the rating.
    await ingest.deliver([event(1, 4, 'c'), event(9, 4, { id: 'x' })]);
    const { data, errors } = await world.subgraph.ask(
      `{ _entities(representations: [{ __typename: "Movie", id: "vega:1" }, { __typename: "Movie", id: "vega:2" }]) {
        ... on Movie { aggregatedRating { count } ratingsByProvider { provider count } ratings { nodes { provider } } } } }`,
    );
    expect(errors).toBeUndefined();
    const [movie, other] = (data as { _entities: Record<string, unknown>[] })._entities;
    expect(movie).toMatchObject({
      aggregatedRating: { count: 7 },
      ratingsByProvider: [
        { provider: '12', count: 1 },
        { provider: 'a', count: 1 },
        { provider: 'b', count: 1 },
        { provider: 'c', count: 1 },
      ],
    });
    const { nodes } = movie?.['ratings'] as { nodes: { provider: string | null }[] };
    expect(nodes.map(({ provider }) => provider).filter((provider) => provider === null)).toHaveLength(3);
    expect(other).toMatchObject({ ratingsByProvider: [] });
    expect(await codesIn(ingestWorld())).toEqual(['NOT_AN_EVENT']);
  });

  it('a record id gets the prefix unless it has a colon or is the id of a movie that was created here', async () => {
    const append = testLog();
    const created = '0199c0de-0000-7000-8000-000000000003';
    const others = ['0199c0de-0000-4000-8000-000000000003', `${created}0`];
    await ingestWorld().ingest.deliver(
      [created, ...others, 'imdb:tt1', '9'].map((id) => append(externalEvent(1, id, 5))),
    );
    expect(await ratingsIn(ingestWorld())).toEqual(
      [created, ...others.map((id) => `vega:${id}`), 'imdb:tt1', 'vega:9']
        .map((id) => `${id} ratings:1 5`)
        .toSorted(),
    );
  });

  it('a value of 0, an event without a user and an id that no movie can have are dead letters with a reason', async () => {
    const append = testLog();
    const nobody = { ...externalEvent(1, '1', 5), userId: undefined };
    await ingestWorld().ingest.deliver([
      append(externalEvent(1, '1', 0)),
      append(nobody),
      append(externalEvent(1, 'a\u0007', 5)),
    ]);
    const letters = await lettersIn(ingestWorld());
    expect(letters.map(({ code, reason }) => `${code}: ${reason}`).toReversed()).toEqual([
      'RATING_OUT_OF_RANGE: 0 is not a whole number from 1 to 10',
      'NOT_AN_EVENT: userId is missing or not an id',
      'NOT_AN_EVENT: recordId is missing or not an id',
    ]);
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
