import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { writeRatings } from '../src/write-ratings.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { ratingWorld } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
let replica: Awaited<ReturnType<typeof ratingWorld>>;
let pool: pg.Pool;
let prisma: PrismaClient;
beforeAll(async () => {
  world = await ratingWorld();
  replica = await ratingWorld({ databaseUrl: world.subgraph.databaseUrl });
  pool = new pg.Pool({ connectionString: world.subgraph.databaseUrl, max: 100 });
  prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
});
afterAll(async () => {
  await prisma.$disconnect();
  await pool.end();
  await replica.subgraph.stop();
  await world.subgraph.stop();
});

/** Writes one batch in its own transaction and on its own connection, without the write batcher. */
const write = (ratings: readonly (readonly [movieId: string, viewerId: string, score: number])[]) =>
  prisma.$transaction(
    (tx) =>
      writeRatings(
        tx,
        ratings.map(([movieId, viewerId, score]) => ({
          command: { movieId, viewerId, score, review: null },
          trace: null,
        })),
        new Date(),
      ),
    { maxWait: 30_000, timeout: 30_000 },
  );

describe('a thousand votes at once', () => {
  it('a thousand concurrent votes on one movie, by two replicas, are counted exactly', async () => {
    const scores = Array.from({ length: 1000 }, (_, n) => (n % 10) + 1);
    await Promise.all(scores.map((score, n) => (n % 2 ? world : replica).rate(`v${n}`, 'hot', score)));
    expect(await world.aggregateOf('hot')).toMatchObject({ count: 1000, average: 5.5 });
    expect(await replica.aggregateOf('hot')).toMatchObject({ count: 1000, average: 5.5 });
    expect(await world.drift()).toEqual([]);
  });

  it('a thousand concurrent votes on a hundred movies, by two replicas, are counted exactly', async () => {
    await Promise.all(
      Array.from({ length: 1000 }, (_, n) =>
        (n % 2 ? world : replica).rate(`w${n % 37}-${n}`, `spread ${(n * 7) % 100}`, (n % 10) + 1),
      ),
    );
    const { rows } = await world.subgraph.pool.query(
      `SELECT sum(count)::int AS count, sum(sum)::int AS sum FROM aggregated_rating WHERE movie_id LIKE 'spread %'`,
    );
    expect(rows).toEqual([{ count: 1000, sum: 5500 }]);
    expect(await world.drift()).toEqual([]);
  });
});

describe('a hundred connections', () => {
  it('a hundred connections that write the first vote of one viewer count it once', async () => {
    await world.know('first-vote');
    await Promise.all(Array.from({ length: 100 }, (_, n) => write([['first-vote', 'same', (n % 10) + 1]])));
    expect(await world.aggregateOf('first-vote')).toMatchObject({ count: 1 });
    expect(await world.drift()).toEqual([]);
  });

  it('a hundred connections that write overlapping sets of movies never deadlock', async () => {
    const movies = Array.from({ length: 12 }, (_, n) => `crossing ${n}`);
    await world.know(...movies);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        Array.from({ length: 100 }, (_, n) =>
          write(
            (n % 2 ? movies : movies.toReversed()).map((movie, at) => [
              movie,
              `c${n % 9}`,
              ((n + at + round) % 10) + 1,
            ]),
          ),
        ),
      );
    }
    const { rows } = await world.subgraph.pool.query(
      `SELECT sum(count)::int AS count FROM aggregated_rating WHERE movie_id LIKE 'crossing %'`,
    );
    expect(rows).toEqual([{ count: 12 * 9 }]);
    expect(await world.drift()).toEqual([]);
  });
});
