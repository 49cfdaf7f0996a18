import { decodeEvent } from '@cinegraph/events/event';
import { aggregatedRatingChanged, ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { applyEvents, type IncomingRating } from '../src/write-ratings.js';
import { catalogueSample } from '../src/import/sample.js';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { ratingWorld, retract, submit } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
let prisma: PrismaClient;
beforeAll(async () => {
  world = await ratingWorld();
  prisma = new PrismaClient({ adapter: new PrismaPg(world.subgraph.pool) });
});
afterAll(async () => {
  await prisma.$disconnect();
  await world.subgraph.stop();
});

/** Returns the events of a movie in the outbox, in order, each decoded by its schema as a consumer does. */
const publishedOf = async (movieId: string) => {
  const { rows } = await world.subgraph.pool.query<{
    type: string;
    version: number;
    topic: string;
    data: unknown;
  }>(
    'SELECT type, version, topic, payload AS data FROM messaging.outbox_event WHERE key = $1 ORDER BY position, ordinal',
    [movieId],
  );
  return rows.map((row) => {
    const event = decodeEvent(row, [ratingSubmitted, ratingRetracted, aggregatedRatingChanged]);
    if ('code' in event) throw new Error(event.reason);
    expect(row.topic).toBe(event.of.topic.name);
    return [row.type, event.data] as const;
  });
};

describe('the events that rating publishes', () => {
  it('each change publishes the rating and the new aggregate, once', async () => {
    await world.rate('ann', 'published', 7);
    await world.rate('ann', 'published', 9);
    await world.retract('ann', 'published');
    await world.retract('ann', 'published');
    const histogram = (score?: number) => Array.from({ length: 10 }, (_, at) => (at + 1 === score ? 1 : 0));
    const rating = { movieId: 'published', viewerId: 'ann' };
    expect(await publishedOf('published')).toEqual([
      ['RatingSubmitted', { ...rating, score: 7, review: null, version: 1 }],
      [
        'AggregatedRatingChanged',
        { movieId: 'published', sum: 7, count: 1, histogram: histogram(7), version: 1 },
      ],
      ['RatingSubmitted', { ...rating, score: 9, review: null, version: 2 }],
      [
        'AggregatedRatingChanged',
        { movieId: 'published', sum: 9, count: 1, histogram: histogram(9), version: 2 },
      ],
      ['RatingRetracted', { ...rating, version: 3 }],
      [
        'AggregatedRatingChanged',
        { movieId: 'published', sum: 0, count: 0, histogram: histogram(), version: 3 },
      ],
    ]);
  });

  it('a change that leaves the aggregate as it was publishes only the rating, and returns that aggregate', async () => {
    await world.rate('ann', 'reviewed', 7);
    const { data } = await world.subgraph.ask(
      submit,
      { movieId: 'reviewed', score: 7, review: 'Better than I thought.' },
      { viewer: 'ann' },
    );
    expect(data).toMatchObject({ submitRating: { movie: { aggregatedRating: { average: 7, count: 1 } } } });
    expect((await publishedOf('reviewed')).map(([type]) => type)).toEqual([
      'RatingSubmitted',
      'AggregatedRatingChanged',
      'RatingSubmitted',
    ]);
  });

  it('nothing is published for a refusal, a repeated idempotency key or a retraction without effect', async () => {
    await world.know('quiet');
    await world.subgraph.ask(submit, { movieId: 'quiet', score: 11 }, { viewer: 'ann' });
    await world.subgraph.ask(retract, { movieId: 'quiet' }, { viewer: 'ann' });
    expect(await publishedOf('quiet')).toEqual([]);
    for (let time = 0; time < 3; time += 1) await world.rate('ann', 'quiet', 5, 'one-key');
    expect(await publishedOf('quiet')).toHaveLength(2);
  });

  it('the events of a movie are in the order of its versions even if many viewers vote at once', async () => {
    await Promise.all(
      Array.from({ length: 300 }, (_, at) => world.rate(`viewer-${at}`, `crowd ${at % 3}`, 1 + (at % 10))),
    );
    for (const movie of ['crowd 0', 'crowd 1', 'crowd 2']) {
      const events = await publishedOf(movie);
      expect(events.filter(([type]) => type === 'RatingSubmitted')).toHaveLength(100);
      const versions = events.flatMap(([type, data]) =>
        type === 'AggregatedRatingChanged' ? [(data as { version: number }).version] : [],
      );
      expect(versions).toEqual(versions.map((_, at) => at + 1));
      expect(events.at(-1)?.[1]).toMatchObject({ count: 100 });
    }
  });

  it('an import publishes one aggregate for each movie', async () => {
    await world.know(...Array.from({ length: 3_500 }, (_, at) => `vega:${at + 1}`));
    await importInto(catalogueSample, world.subgraph.pool);
    const { rows } = await world.subgraph.pool.query(
      `SELECT count(*)::int AS events, count(DISTINCT key)::int AS movies, bool_and(type = 'AggregatedRatingChanged') AS alike,
         (SELECT count(*)::int FROM aggregated_rating WHERE movie_id LIKE 'vega:%' AND count > 0) AS aggregates
       FROM messaging.outbox_event WHERE key LIKE 'vega:%'`,
    );
    const [{ events, movies, alike, aggregates }] = rows as [
      { events: number; movies: number; alike: boolean; aggregates: number },
    ];
    expect([alike, movies]).toEqual([true, aggregates]);
    // A movie in two chunks of the sample is published for each.
    expect(events).toBeLessThan(movies + 100);
  });
});

describe('external events', () => {
  const apply = (events: readonly IncomingRating[]) =>
    prisma.$transaction((tx) => applyEvents(tx, events, new Date('2026-01-01T00:00:00Z')));

  const event = (
    movieId: string,
    score: number | null,
    order: IncomingRating['order'],
    viewerId = 'acme:1',
  ): IncomingRating => ({ movieId, viewerId, score, review: null, provider: null, order, trace: null });

  const at = (second: number, partition = 0, offset = second) => ({
    appendedAt: new Date(second * 1000),
    partition,
    offset: BigInt(offset),
  });

  it('external events have the same result in every order of arrival, one by one and in one batch', async () => {
    // A put, a later retraction, a put of the same time on a higher partition, and a later put there.
    const log = [
      [8, at(1)],
      [null, at(2, 0, 2)],
      [3, at(2, 1, 0)],
      [6, at(2, 1, 1)],
      [null, at(1, 7, 99)],
    ] as const;
    let movie = 0;
    for (const order of permutations(log)) {
      const one = `one ${(movie += 1)}`;
      const all = `all ${movie}`;
      await world.know(one, all);
      for (const [score, position] of order) await apply([event(one, score, position)]);
      await apply(order.map(([score, position]) => event(all, score, position)));
      expect([await world.aggregateOf(one), await world.aggregateOf(all)]).toMatchObject([
        { average: 6, count: 1 },
        { average: 6, count: 1 },
      ]);
    }
    expect(await world.drift()).toEqual([]);
  });

  it('an external retraction is kept if it arrives before the rating that it retracts', async () => {
    await world.know('early');
    await apply([event('early', null, at(5))]);
    expect(await publishedOf('early')).toEqual([]);
    await apply([event('early', 9, at(4))]);
    expect(await world.aggregateOf('early')).toMatchObject({ average: null, count: 0 });
    await apply([event('early', 4, at(6))]);
    expect(await world.aggregateOf('early')).toMatchObject({ average: 4, count: 1 });
  });

  it('external events with versions are ordered by them, and their versions are published', async () => {
    await world.know('versions');
    await apply([event('versions', 4, { version: 2 ** 40 }), event('versions', 9, { version: 7 })]);
    await apply([event('versions', 1, { version: 2 ** 40 })]);
    expect(await world.aggregateOf('versions')).toMatchObject({ average: 4, count: 1 });
    expect((await publishedOf('versions'))[0]).toEqual([
      'RatingSubmitted',
      { movieId: 'versions', viewerId: 'acme:1', score: 4, review: null, version: 2 ** 40 },
    ]);
  });

  it('external events of a deleted movie are refused, and the others of the batch are written', async () => {
    await world.know('here');
    await world.remove('gone');
    const refusals = await apply([
      event('gone', 4, at(1)),
      event('here', 4, at(1)),
      event('gone', null, at(2)),
    ]);
    expect(refusals.map((refusal) => refusal?.code ?? null)).toEqual(['MOVIE_DELETED', null, null]);
    expect(await world.aggregateOf('here')).toMatchObject({ count: 1 });
  });
});

function* permutations<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  if (items.length <= 1) yield items;
  for (const [at, item] of items.entries()) {
    if (items.length <= 1) return;
    for (const rest of permutations(items.toSpliced(at, 1))) yield [item, ...rest];
  }
}
