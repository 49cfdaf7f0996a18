import { decodeEvent } from '@cinegraph/events/event';
import { aggregatedRatingChanged } from '@cinegraph/events/rating';
import { backfill } from '@cinegraph/messaging/outbox/backfill';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { aggregateBackfill } from '../src/backfill.js';
import { ratingWorld } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeEach(async () => {
  world = await ratingWorld();
});
afterEach(() => world.subgraph.stop());

/** Returns the aggregates in the outbox, in order, each decoded by its schema as a consumer does. */
const published = async () => {
  const { rows } = await world.subgraph.pool.query<{
    type: string;
    version: number;
    key: string;
    payload: unknown;
  }>(
    `SELECT type, version, key, payload FROM messaging.outbox_event WHERE topic = 'rating.aggregates.v1' ORDER BY position, ordinal`,
  );
  return rows.map(({ type, version, key, payload }) => {
    const event = decodeEvent({ type, version, data: payload }, [aggregatedRatingChanged]);
    if ('code' in event) throw new Error(event.reason);
    expect(key).toBe(event.data.movieId);
    return event.data;
  });
};

describe('the backfill', () => {
  it('the backfill publishes the aggregate of every movie that was ever rated, once', async () => {
    await world.rate('ann', 'one', 9);
    await world.rate('bob', 'one', 7);
    await world.rate('ann', 'two', 4);
    await world.retract('ann', 'two');
    await world.subgraph.pool.query(`
      TRUNCATE messaging.outbox;
      INSERT INTO aggregated_rating (movie_id) VALUES ('never rated')`);
    expect(await backfill(world.subgraph.pool, aggregateBackfill)).toBe(3);
    expect(await published()).toEqual([
      { movieId: 'one', sum: 16, count: 2, histogram: [0, 0, 0, 0, 0, 0, 1, 0, 1, 0], version: 2 },
      { movieId: 'two', sum: 0, count: 0, histogram: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], version: 2 },
    ]);
    expect(await backfill(world.subgraph.pool, aggregateBackfill)).toBeUndefined();
    expect(await published()).toHaveLength(2);
  });

  it('the backfill never deadlocks with ratings that are written at the same time', async () => {
    await world.subgraph.pool.query(`
      INSERT INTO aggregated_rating (movie_id, movie_state, version) SELECT 'Movie ' || n, 'known', 1 FROM generate_series(1, 1200) n`);
    const votes = Array.from({ length: 60 }, (_, n) => world.rate(`viewer${n}`, `Movie ${n * 20 + 1}`, 8));
    const [count] = await Promise.all([backfill(world.subgraph.pool, aggregateBackfill), ...votes]);
    expect(count).toBe(1_200);
    expect(await world.drift()).toEqual([]);
    expect(new Set((await published()).map(({ movieId }) => movieId)).size).toBe(1_200);
  });
});
