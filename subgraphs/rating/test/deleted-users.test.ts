import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { inTransaction } from '@cinegraph/database/transaction';
import { eventOf } from '@cinegraph/events/event';
import { accounts } from '@cinegraph/events/topics';
import { userDeleted } from '@cinegraph/events/users';
import { listDeadLetters } from '@cinegraph/messaging/consumer/dead-letters';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { PrismaPg } from '@prisma/adapter-pg';
import { createDeletedUsers } from '../src/consumers/deleted-users.js';
import { isExternalProducer } from '../src/consumers/ratings-topic.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { moveAllVotes } from '../src/move-votes.js';
import { removeViewers } from '../src/remove-viewers.js';
import { writeKnownMovies } from '../src/write-known-movies.js';
import { signed, testLog } from './messages.js';
import { ratingWorld } from './world.js';

const ann = '0199c0de-0000-7000-8000-00000000000a';
const bob = '0199c0de-0000-7000-8000-00000000000b';

let world: Awaited<ReturnType<typeof ratingWorld>>;
let prisma: PrismaClient;
let consumer: Deliveries;
let aheadMs = 0;
const clock = { now: () => new Date(Date.now() + aheadMs) };

beforeAll(async () => {
  world = await ratingWorld();
  prisma = new PrismaClient({ adapter: new PrismaPg(world.subgraph.pool) });
});
afterAll(async () => {
  await prisma.$disconnect();
  await world.subgraph.stop();
});
beforeEach(async () => {
  aheadMs = 0;
  await world.clear([
    ...['deleted_viewer', 'superseded_rating', 'vote_move', 'idempotency'],
    ...['messaging.inbox', 'messaging.dead_letter', 'messaging.outbox'],
  ]);
  consumer = await openDeliveries(
    { subgraph: 'rating', pool: world.subgraph.pool },
    createDeletedUsers({ clock, secret: testSubgraphKey }),
  );
});
afterEach(() => consumer.stop());

const append = testLog(accounts.name);

/** Appends UserDeleted to the topic of accounts, by default signed by users. */
const deleted = (userId: string, producer = 'users') => {
  const event = eventOf(userDeleted, userId, { userId });
  const envelope = { id: randomUUID(), occurredAt: '2026-01-01T00:00:00Z', producer, ...event };
  return append(...signed(envelope, { topic: accounts.name }));
};

const rowsOf = async (viewerId: string): Promise<number> => {
  const { rows } = await world.subgraph.pool.query<{ count: string }>(
    `SELECT (SELECT count(*) FROM rating WHERE viewer_id = $1)
       + (SELECT count(*) FROM superseded_rating WHERE viewer_id = $1)
       + (SELECT count(*) FROM idempotency WHERE viewer_id = $1) AS count`,
    [viewerId],
  );
  return Number(rows[0]?.count);
};

const eventTypes = async (): Promise<readonly string[]> => {
  const { rows } = await world.subgraph.pool.query<{ type: string }>(
    `SELECT DISTINCT type FROM messaging.outbox ORDER BY type`,
  );
  return rows.map(({ type }) => type);
};

const pending = async () => prisma.deletedViewer.count();

describe('the ratings of a deleted user', () => {
  it('they are removed with their rows and stored answers, and the aggregates and events are those of a retraction', async () => {
    await world.rate(ann, 'm:1', 2, 'key');
    await world.rate(ann, 'm:2', 4);
    await world.rate(ann, 'm:3', 6);
    await world.retract(ann, 'm:3');
    await world.rate(bob, 'm:1', 10);
    await world.subgraph.pool.query('TRUNCATE messaging.outbox');
    await consumer.deliver([deleted(ann)]);
    await removeViewers(prisma, clock);
    expect(await world.aggregateOf('m:1')).toMatchObject({ average: 10, count: 1 });
    expect(await world.aggregateOf('m:2')).toMatchObject({ average: null, count: 0 });
    expect(await rowsOf(ann)).toBe(0);
    expect(await rowsOf(bob)).toBe(1);
    expect(await world.drift()).toEqual([]);
    expect(await eventTypes()).toEqual(['AggregatedRatingChanged', 'RatingRetracted']);
  });

  it('a user with many ratings is removed in steps, and the aggregates are exact after each', async () => {
    const movies = Array.from({ length: 60 }, (_, at) => `many:${at}`);
    await world.know(...movies);
    await Promise.all(movies.map((movie) => world.rate(ann, movie, 7)));
    await world.rate(bob, 'many:0', 3);
    await consumer.deliver([deleted(ann)]);
    await removeViewers(prisma, clock, undefined, 7);
    expect(await rowsOf(ann)).toBe(0);
    expect(await world.drift()).toEqual([]);
    expect(await world.aggregateOf('many:0')).toMatchObject({ average: 3, count: 1 });
  });

  it('replicas that remove a user at the same time remove each rating once', async () => {
    for (let at = 0; at < 10; at += 1) await world.rate(ann, `twice:${at}`, 5);
    await consumer.deliver([deleted(ann)]);
    await Promise.all([
      removeViewers(prisma, clock, undefined, 2),
      removeViewers(prisma, clock, undefined, 3),
    ]);
    expect(await rowsOf(ann)).toBe(0);
    expect(await world.drift()).toEqual([]);
    expect(await pending()).toBe(1);
  });

  it('a rating that is given with an access token of the deleted account is removed when that has expired', async () => {
    await consumer.deliver([deleted(ann)]);
    await removeViewers(prisma, clock);
    await world.rate(ann, 'late', 8);
    await removeViewers(prisma, clock);
    expect(await rowsOf(ann)).toBe(1);
    aheadMs = 16 * 60_000;
    await removeViewers(prisma, clock);
    expect(await rowsOf(ann)).toBe(0);
    expect(await world.aggregateOf('late')).toMatchObject({ count: 0 });
    expect(await pending()).toBe(0);
  });

  it('an event that arrives again, under its id or another one, has no effect', async () => {
    await world.rate(ann, 'm:1', 2);
    const message = deleted(ann);
    await consumer.deliver([message, message, deleted(ann)]);
    await consumer.deliver([message]);
    await removeViewers(prisma, clock);
    await consumer.deliver([message, deleted(ann)]);
    aheadMs = 16 * 60_000;
    await removeViewers(prisma, clock);
    await consumer.deliver([message, deleted(ann)]);
    await removeViewers(prisma, clock);
    expect(await rowsOf(ann)).toBe(0);
    expect(await world.drift()).toEqual([]);
  });

  it.each(['before', 'after'])(
    'votes for films that are joined are removed %s they were moved',
    async (when) => {
      await world.rate(ann, 'kept', 4);
      await world.rate(ann, 'other', 9);
      await world.rate(bob, 'other', 10);
      await inTransaction(world.subgraph.pool, (tx) =>
        writeKnownMovies(tx, [{ movie: 'other', version: 9, deleted: false, joinedInto: 'kept' }]),
      );
      if (when === 'after') await moveAllVotes(prisma);
      await consumer.deliver([deleted(ann)]);
      await removeViewers(prisma, clock);
      await moveAllVotes(prisma);
      expect(await rowsOf(ann)).toBe(0);
      expect(await world.aggregateOf('kept')).toMatchObject({ average: 10, count: 1 });
      expect(await world.drift()).toEqual([]);
    },
  );

  it('ratings of unknown and of deleted movies are removed, too', async () => {
    await world.rate(ann, 'gone', 4);
    await world.remove('gone');
    await consumer.deliver([deleted(ann)]);
    await removeViewers(prisma, clock);
    expect(await rowsOf(ann)).toBe(0);
    expect(await world.drift()).toEqual([]);
  });
});

describe('the topic of accounts', () => {
  it('only users may delete a user: another producer becomes a dead letter, and no external one has that name', async () => {
    await world.rate(ann, 'm:1', 2);
    await consumer.deliver([deleted(ann, 'metadata')]);
    await removeViewers(prisma, clock);
    expect(await rowsOf(ann)).toBe(1);
    expect(await pending()).toBe(0);
    const letters = await listDeadLetters(prisma, { limit: 10 });
    expect(letters.map(({ code }) => code)).toEqual(['FORGED_EVENT']);
    expect(isExternalProducer('users')).toBe(false);
  });

  it('a viewer of imported ratings is no user: an event cannot delete it', async () => {
    await world.rate('movielens:1', 'm:1', 2);
    await consumer.deliver([deleted('movielens:1')]);
    await removeViewers(prisma, clock);
    expect(await rowsOf('movielens:1')).toBe(1);
  });
});
