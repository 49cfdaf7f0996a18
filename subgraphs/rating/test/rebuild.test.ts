import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { catalogueSample } from '../src/import/sample.js';
import { findDrift, rebuildAggregates } from '../src/command-line/rebuild.js';
import { ratingWorld } from './world.js';

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

const tables = async () =>
  (
    await world.subgraph.pool.query<{ ratings: string; aggregates: string }>(`
      SELECT (SELECT md5(string_agg(r::text, '|' ORDER BY movie_id, viewer_id)) FROM rating r) AS ratings,
        (SELECT md5(string_agg(a::text, '|' ORDER BY movie_id)) FROM aggregated_rating a) AS aggregates`)
  ).rows[0];

describe('the sample import', () => {
  it('the sample import fills empty tables once, and a second run changes nothing', async () => {
    const first = await importInto(catalogueSample, world.subgraph.pool, { onlyIfEmpty: true });
    expect(first?.written).toBeGreaterThan(50_000);
    expect(first).toMatchObject({ read: first?.written, unchanged: 0, refused: [] });
    const before = await tables();
    const second = await importInto(catalogueSample, world.subgraph.pool);
    expect(second).toMatchObject({ read: first?.read, written: 0, unchanged: first?.read });
    expect(await tables()).toEqual(before);
    expect(await importInto(catalogueSample, world.subgraph.pool, { onlyIfEmpty: true })).toBeUndefined();
  });

  it('the sample import leaves every aggregate equal to its ratings', async () => {
    expect(await findDrift(prisma)).toEqual([]);
  });
});

describe('the rebuild', () => {
  it('the rebuild reports and repairs aggregates that drifted, were lost, hidden, or belong to no rating', async () => {
    await world.rate('ann', 'drifting', 4);
    await world.rate('ann', 'lost', 9);
    await world.rate('ann', 'hidden', 3);
    const before = await tables();
    await world.subgraph.pool.query(`
      UPDATE aggregated_rating SET sum = 10, count = 1, s10 = 1, s4 = 0 WHERE movie_id = 'drifting';
      UPDATE aggregated_rating SET movie_state = 'unknown' WHERE movie_id = 'hidden';
      DELETE FROM aggregated_rating WHERE movie_id = 'lost';
      INSERT INTO aggregated_rating (movie_id, sum, count, s3) VALUES ('phantom', 6, 2, 2)`);
    const expected = [
      ['drifting', [10, 1, 'known'], [4, 1, 'known']],
      ['hidden', [3, 1, 'unknown'], [3, 1, 'known']],
      ['lost', [0, 0, 'unknown'], [9, 1, 'known']],
      ['phantom', [6, 2, 'unknown'], [0, 0, 'unknown']],
    ];
    const lines = (drift: Awaited<ReturnType<typeof findDrift>>) =>
      drift.map(({ movieId, stored, recomputed }) => [
        movieId,
        ...[stored, recomputed].map(({ sum, count, movie }) => [sum, count, movie]),
      ]);
    expect(lines(await findDrift(prisma))).toEqual(expected);
    expect(lines(await rebuildAggregates(prisma))).toEqual(expected);
    expect(await findDrift(prisma)).toEqual([]);
    expect(await world.aggregateOf('drifting')).toMatchObject({ average: 4, count: 1 });
    expect(await world.aggregateOf('hidden')).toMatchObject({ average: 3, count: 1 });
    expect((await tables())?.ratings).toBe(before?.ratings);
  });

  it('the rebuild repairs a histogram that drifted alone', async () => {
    await world.rate('ann', 'histogram', 4);
    await world.rate('bob', 'histogram', 6);
    await world.subgraph.pool.query(
      `UPDATE aggregated_rating SET s4 = 0, s6 = 0, s5 = 2 WHERE movie_id = 'histogram'`,
    );
    expect(await findDrift(prisma)).toHaveLength(1);
    await rebuildAggregates(prisma);
    expect((await world.aggregateOf('histogram')).histogram[3]).toEqual({ score: 4, count: 1 });
  });

  it('ratings give the same aggregates in whatever order they arrive', async () => {
    const votes = Array.from({ length: 40 }, (_, n) => [`o${n}`, ((n * 3) % 10) + 1] as const);
    for (const [viewer, score] of votes) await world.rate(viewer, 'forward', score);
    await Promise.all(votes.toReversed().map(([viewer, score]) => world.rate(viewer, 'backward', score)));
    expect(await world.aggregateOf('forward')).toEqual(await world.aggregateOf('backward'));
    expect(await findDrift(prisma)).toEqual([]);
  });
});
