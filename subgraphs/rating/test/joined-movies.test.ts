import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { eventOf } from '@cinegraph/events/event';
import { movieChanged, movieJoined } from '@cinegraph/events/metadata';
import { movies } from '@cinegraph/events/topics';
import { systemClock } from '@cinegraph/service/clock';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { createKnownMovies } from '../src/consumers/known-movies.js';
import { createIngest } from '../src/consumers/ratings-topic.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { eventFile } from '../src/import/event-file.js';
import { createVoteMoving } from '../src/move-votes.js';
import type { RepeatedWork } from '../src/repeated-work.js';
import { put, ratingsIn, useImportWorld } from './import-world.js';
import { externalEvent, signed, testLog } from './messages.js';
import { ratingWorld, retract, submit } from './world.js';

const importWorld = useImportWorld();
let replica: Awaited<ReturnType<typeof ratingWorld>>;
/** What moves votes in two replicas. The consumer of the test wakes up both. */
let moving: readonly RepeatedWork[];
let prisma: PrismaClient;
let known: Deliveries;
let ingest: Deliveries;
beforeAll(async () => {
  const { pool, databaseUrl } = importWorld().world.subgraph;
  replica = await ratingWorld({ databaseUrl });
  prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  moving = [createVoteMoving(prisma, silentLogger), createVoteMoving(prisma, silentLogger)];
  await Promise.all(moving.map((part) => part.start()));
});
afterAll(async () => {
  await Promise.all(moving.map((part) => part.stop()));
  await prisma.$disconnect();
  await replica.subgraph.stop();
});
beforeEach(async () => {
  const { world } = importWorld();
  await world.clear(['vote_move', 'superseded_rating', 'messaging.inbox', 'messaging.outbox']);
  const committed = () => moving.forEach(({ wake }) => wake());
  const tools = { subgraph: 'rating', pool: world.subgraph.pool };
  known = await openDeliveries(tools, createKnownMovies({ secret: testSubgraphKey, committed }));
  const settings = { secret: testSubgraphKey, scale: 10, idPrefix: '' } as const;
  ingest = await openDeliveries(tools, createIngest({ clock: systemClock }, settings));
});
afterEach(() => Promise.all([known.stop(), ingest.stop()]));

const append = testLog(movies.name);
const log = testLog();

/**
 * Returns a message of metadata's topic: the movie is joined into another one, or parted if `into` is null.
 */
const state = (movieId: string, version: number, into: string | null) => {
  const event =
    into === null
      ? eventOf(movieChanged, movieId, { movieId, version, title: 'T', releaseYear: null })
      : eventOf(movieJoined, movieId, { movieId, version, into });
  const envelope = { id: randomUUID(), occurredAt: '2026-01-01T00:00:00Z', producer: 'metadata', ...event };
  return append(...signed(envelope, { topic: movies.name }));
};

const moved = async () => {
  const { pool } = importWorld().world.subgraph;
  await until(async () => (await pool.query('SELECT FROM vote_move')).rowCount === 0);
};

const join = async (movieId: string, into: string | null, version = 2) => {
  await known.deliver([state(movieId, version, into)]);
  await moved();
};

/** Returns the aggregates that were published last, as `movie sum count`. */
const published = async () => {
  const { rows } = await importWorld().world.subgraph.pool.query<{ line: string }>(`
    SELECT DISTINCT ON (event.key) concat_ws(' ', event.key, data ->> 'sum', data ->> 'count') AS line
    FROM messaging.outbox, jsonb_to_recordset(events::jsonb) AS event (key text, data jsonb)
    WHERE type = 'AggregatedRatingChanged' ORDER BY event.key, (data ->> 'version')::bigint DESC`);
  return rows.map(({ line }) => line);
};

describe('the ratings of joined movies', () => {
  it('the ratings of both movies count once for each viewer, the newest if there are two, and are published', async () => {
    const { world } = importWorld();
    await world.rate('ann', 'other', 3);
    await world.rate('ann', 'kept', 9);
    await world.rate('bob', 'kept', 1);
    await world.rate('bob', 'other', 7);
    await world.rate('cyn', 'other', 10);
    await join('other', 'kept');
    expect(await world.aggregateOf('kept')).toMatchObject({ count: 3, average: 26 / 3 });
    expect(await world.aggregateOf('other')).toMatchObject({ count: 0, average: null });
    expect(await published()).toEqual(['kept 26 3', 'other 0 0']);
    const { data } = await world.subgraph.ask(
      '{ myRatings { totalCount nodes { score movie { id } } } }',
      {},
      { viewer: 'ann' },
    );
    expect(data).toEqual({ myRatings: { totalCount: 1, nodes: [{ score: 9, movie: { id: 'kept' } }] } });
    await join('other', null, 3);
    expect(await ratingsIn(importWorld())).toEqual([
      'kept ann 9',
      'kept bob 1',
      'other ann 3',
      'other bob 7',
      'other cyn 10',
    ]);
    expect(await published()).toEqual(['kept 10 2', 'other 20 3']);
    expect(await world.drift()).toEqual([]);
  });

  it('a join does not wait for the relay, which holds an advisory lock of the same database', async () => {
    const { world } = importWorld();
    await world.know('kept', 'other');
    const relay = await world.subgraph.pool.connect();
    try {
      await relay.query('SELECT pg_advisory_lock(4203003)');
      await join('other', 'kept');
    } finally {
      relay.release(true);
    }
    const { rows } = await world.subgraph.pool.query('SELECT movie_id FROM aggregated_rating WHERE joined');
    expect(rows).toHaveLength(2);
  });

  it('mutations with the id of the joined movie rate the kept one, and say so', async () => {
    const { world } = importWorld();
    await world.rate('ann', 'other', 3);
    await world.know('kept');
    await join('other', 'kept');
    const viewer = { viewer: 'ann' };
    expect((await world.subgraph.ask(submit, { movieId: 'other', score: 8 }, viewer)).data).toMatchObject({
      submitRating: { movie: { id: 'kept', aggregatedRating: { average: 8, count: 1 } } },
    });
    expect((await world.subgraph.ask(retract, { movieId: 'other' }, viewer)).data).toMatchObject({
      retractRating: { retracted: true, movie: { id: 'kept', aggregatedRating: { count: 0 } } },
    });
    expect(await world.drift()).toEqual([]);
  });

  it('late events for the joined movie reach the kept one, and a replay of any event changes nothing', async () => {
    const { world } = importWorld();
    await world.know('movielens:318', 'kept');
    const early = log(externalEvent(1, 'movielens:318', 4));
    const joined = state('movielens:318', 2, 'kept');
    await ingest.deliver([early]);
    await known.deliver([joined]);
    const late = [
      log(externalEvent(2, 'movielens:318', 8)),
      log(externalEvent(1, 'kept', 6)),
      log(externalEvent(1, 'movielens:318', 10)),
    ];
    await ingest.deliver(late);
    await moved();
    const expected = ['kept ratings:1 10', 'kept ratings:2 8'];
    expect(await ratingsIn(importWorld())).toEqual(expected);
    await world.subgraph.pool.query('TRUNCATE messaging.inbox');
    await known.deliver([joined, state('movielens:318', 1, null)]);
    await ingest.deliver([...late.toReversed(), early]);
    await moved();
    expect(await ratingsIn(importWorld())).toEqual(expected);
    expect(await world.aggregateOf('kept')).toMatchObject({ count: 2, average: 9 });
    await join('movielens:318', null, 3);
    expect(await ratingsIn(importWorld())).toEqual([
      'movielens:318 ratings:1 10',
      'movielens:318 ratings:2 8',
    ]);
    expect(await world.drift()).toEqual([]);
  });

  it('a join that arrives before the kept movie, and one that a later chain overtook, end in the same state', async () => {
    const { world } = importWorld();
    await ingest.deliver([log(externalEvent(1, 'a', 5)), log(externalEvent(2, 'b', 7))]);
    // a was joined into b, then b into c. b comes last, and c comes after both.
    await known.deliver([state('a', 3, 'c')]);
    await known.deliver([state('a', 2, 'b'), state('b', 2, 'c')]);
    await known.deliver([state('c', 1, null)]);
    await moved();
    expect(await world.aggregateOf('c')).toMatchObject({ count: 2, average: 6 });
    // A parting and the opposite join, of which the join arrives first.
    await known.deliver([state('c', 2, 'b')]);
    await known.deliver([state('b', 3, null), state('a', 4, 'b')]);
    await moved();
    expect(await world.aggregateOf('b')).toMatchObject({ count: 2, average: 6 });
    expect(await world.aggregateOf('c')).toMatchObject({ count: 0 });
    expect(await world.drift()).toEqual([]);
  });

  it('a file with ratings of both movies is imported into the kept one, and a second run writes nothing', async () => {
    const { world, folder } = importWorld();
    await world.know('m:1', 'm:2', 'm:3');
    await join('m:2', 'm:1');
    const path = await put(
      importWorld(),
      'ratings.csv',
      [
        'userId,movieId,rating,timestamp',
        '1,1,5,100',
        '1,2,3,200',
        '2,1,4,300',
        '2,2,1,300',
        '3,2,2,100',
        '3,3,9,1',
      ].join('\n'),
    );
    const run = () =>
      importInto(eventFile, world.subgraph.pool, {
        ...{ args: [path], folder, values: { scale: '10', 'id-prefix': 'm:' } },
      });
    await run();
    const expected = [
      'm:1 ratings:1 3',
      expect.stringMatching(/^m:1 ratings:2 [14]$/),
      'm:1 ratings:3 2',
      'm:3 ratings:3 9',
    ];
    const first = await ratingsIn(importWorld());
    expect(first).toEqual(expected);
    expect(await run()).toMatchObject({ written: 0 });
    expect(await ratingsIn(importWorld())).toEqual(first);
    await join('m:2', null, 3);
    expect(await ratingsIn(importWorld())).toEqual(
      expect.arrayContaining(['m:2 ratings:1 3', 'm:2 ratings:3 2', 'm:3 ratings:3 9']),
    );
    expect(await world.drift()).toEqual([]);
  });

  it('votes on both movies while they are joined and parted, by two replicas, are counted exactly', async () => {
    const { world } = importWorld();
    await world.know('kept', 'other');
    const viewers = Array.from({ length: 60 }, (_, n) => `v${n}`);
    const vote = async (viewer: string, n: number) => {
      for (let at = 0; at < 12; at += 1) {
        const { subgraph } = (n + at) % 2 ? world : replica;
        const movieId = (n * 7 + at) % 3 ? 'kept' : 'other';
        const { errors } = await subgraph.ask(submit, { movieId, score: ((n + at) % 10) + 1 }, { viewer });
        expect(errors).toBeUndefined();
      }
    };
    const voting = Promise.all(viewers.map(vote));
    for (let version = 2; version <= 8; version += 1) {
      await known.deliver([state('other', version, version % 2 ? null : 'kept')]);
      await delay(30);
    }
    await voting;
    await moved();
    // Joined: each viewer has one vote, the last one.
    const { rows } = await world.subgraph.pool.query<{ viewer: string; score: number }>(
      `SELECT viewer_id AS viewer, score FROM rating WHERE movie_id = 'kept'`,
    );
    expect(Object.fromEntries(rows.map(({ viewer, score }) => [viewer, score]))).toEqual(
      Object.fromEntries(viewers.map((viewer, n) => [viewer, ((n + 11) % 10) + 1])),
    );
    expect(await world.aggregateOf('kept')).toMatchObject({ count: 60 });
    expect(await world.drift()).toEqual([]);
  });
});
