import { setTimeout as delay } from 'node:timers/promises';
import { incomingRatings } from '@cinegraph/events/topics';
import type { GroupPosition } from '@cinegraph/messaging/broker';
import type { Part } from '@cinegraph/service/parts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { RunningProcess, ServiceProcess } from '../support/service-process.js';
import { enterIngest, ingest, keepPublishing } from './members.js';
import { randomRatings, randomVersions, externalMessage, ownMessage } from './messages.js';
import { amidBatch, clearRatings, expectEffectOf, isThrough } from './oracle.js';
import { openRandom, reportFault, sized, faultTimeoutMs } from './support.js';
import { brokerKinds, crash, startFaultWorld, type FaultWorld } from './world.js';

const topic = incomingRatings.name;

describe.each(brokerKinds)('consumed ratings, %s', (kind) => {
  let world: FaultWorld;
  let service: ServiceProcess | undefined;
  beforeAll(async () => {
    world = await startFaultWorld({ broker: kind });
  });
  afterAll(() => world.stop());
  afterEach(() => clearRatings(world));

  /** The only rating process, for tests that need no more. */
  const withRating = async () => {
    service ??= world.startRating();
    await service.url;
    return service;
  };

  it('ratings of a movie stay in order while members of the group come and go (F10)', async () => {
    const name = `F10 over ${kind}`;
    const random = openRandom(name);
    await world.pool.query(
      'CREATE TABLE taken (at bigint GENERATED ALWAYS AS IDENTITY, partition int, "offset" bigint, movie text)',
    );
    const noted: typeof ingest = {
      ...ingest,
      handle: async (tx, events) => {
        const outcomes = await ingest.handle(tx, events);
        // The movies are locked, so this is the order in which their changes become visible.
        await tx.$executeRawUnsafe(
          `INSERT INTO taken (partition, "offset", movie)
           SELECT partition, "offset", movie FROM ROWS FROM (jsonb_to_recordset($1::jsonb)
             AS (partition int, "offset" bigint, movie text)) WITH ORDINALITY AS t (partition, "offset", movie, ordinal)
           ORDER BY ordinal`,
          JSON.stringify(
            events.map(({ movieId: movie, order }) => {
              if ('version' in order) throw new Error('The event has a version.');
              return { partition: order.partition, offset: String(order.offset), movie };
            }),
          ),
        );
        return outcomes;
      },
    };
    const changes = sized({ short: 8, long: 30 });
    const source = randomRatings(random, { of: 'f10', count: changes * 2_000, movies: 60, viewers: 200 });
    const stopPublishing = keepPublishing(
      world,
      random,
      source.map((rating) => externalMessage(rating)),
    );
    let lastToHandle: Part | undefined;
    const enter = async (): Promise<Part> => {
      const member = await enterIngest(world, 'rating', {
        ...noted,
        handle: (tx, events) => {
          lastToHandle = member;
          return noted.handle(tx, events);
        },
      });
      return member;
    };
    const members = [await enter()];
    for (let change = 0; change < changes; change += 1) {
      const leaves = members.length > 1 && (members.length > 3 || random.percent(50));
      // In PostgreSQL one member is active: it is the one to leave, so that another has to take over.
      const active = kind === 'postgres' ? members.findIndex((member) => member === lastToHandle) : -1;
      const leaving = active >= 0 ? active : random.int(members.length);
      if (leaves) await members.splice(leaving, 1)[0]?.stop();
      else members.push(await enter());
      await delay(sized({ short: 800, long: 2_000 }));
    }
    const published = await stopPublishing();
    const sent = source.slice(0, published);
    await until(
      () => isThrough(world, 'rating.ingest', topic),
      'everything published is consumed',
      faultTimeoutMs,
    );
    await Promise.all(members.map((member) => member.stop()));
    const { lost, double } = await expectEffectOf(world, sent);
    const { rows } = await world.pool.query(
      `SELECT count(*) FILTER (WHERE "offset" <= before)::int AS disordered, count(*)::int AS taken
       FROM (SELECT "offset", max("offset") OVER (PARTITION BY partition, movie ORDER BY at
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM taken) AS each`,
    );
    expect(rows).toEqual([{ disordered: 0, taken: published }]);
    // No process ran that could publish it.
    await world.pool.query('TRUNCATE messaging.outbox');
    reportFault({ fault: name, runs: changes, events: published, lost, double, note: 'order violated 0' });
  });

  it(
    'ratings count once when their consumers are killed at random moments (F1)',
    async () => {
      const name = `F1 over ${kind}`;
      const random = openRandom(name);
      // First the consumer alone is killed, then the whole service. A killed member of a Kafka group keeps
      // its partitions for two seconds, so that Kafka gets fewer kills.
      const [ofConsumer, ofService] = sized<readonly [number, number]>(
        kind === 'kafka' ? { short: [3, 2], long: [60, 20] } : { short: [12, 5], long: [120, 50] },
      );
      const kills = ofConsumer + ofService;
      const external = randomRatings(random, { of: 'f1', count: kills * 4_000, movies: 200, viewers: 300 });
      const internal = randomVersions(random, { of: 'f1', count: kills * 4_000, movies: 200, viewers: 300 });
      const messages = external.flatMap((rating, at) => [externalMessage(rating), ownMessage(internal[at]!)]);
      const source = external.flatMap((rating, at) => [rating, internal[at]!]);
      const stopPublishing = keepPublishing(world, random, messages);
      const start = (kill: number) => (kill < ofConsumer ? world.startIngest() : world.startRating());
      const replicas: RunningProcess[] = [start(0), start(0)];
      const resumedMs: number[] = [];
      const caughtUpMs: number[] = [];
      for (let kill = 0; kill < kills; kill += 1) {
        if (kill === 0) {
          await amidBatch(world.pool, () => Promise.all(replicas.splice(0).map(crash)));
        } else {
          await delay(random.int(500));
          await Promise.all(replicas.splice(random.int(2), 1).map(crash));
        }
        const killedAt = performance.now();
        const before = await world.broker.positions('rating.ingest', [topic]);
        while (replicas.length < 2) replicas.push(start(kill + 1));
        const passed = async (of: (one: GroupPosition) => bigint) => {
          const now = await world.broker.positions('rating.ingest', [topic]);
          return before.every((one) => (now.find(isOf(one))?.committed ?? 0n) >= of(one));
        };
        // Partitions of members that live never stopped. Each partition must make progress.
        await until(
          () => passed(({ committed }) => (committed ?? 0n) + 1n),
          'something of each partition is consumed',
          faultTimeoutMs,
        );
        resumedMs.push(performance.now() - killedAt);
        await until(() => passed(({ end }) => end), 'what was there at the kill is consumed', faultTimeoutMs);
        caughtUpMs.push(performance.now() - killedAt);
      }
      const published = await stopPublishing();
      await world.settled();
      const { lost, double } = await expectEffectOf(world, source.slice(0, published));
      await Promise.all(
        replicas.map(({ signal, ended }) => {
          signal('SIGTERM');
          return ended;
        }),
      );
      const note = `after a kill resumed in ${spreadOf(resumedMs)}, caught up in ${spreadOf(caughtUpMs)}`;
      reportFault({ fault: name, runs: kills, events: published, lost, double, note });
    },
    sized({ short: 180_000, long: 1_800_000 }),
  );

  it('ratings that are published again after the broker lost its log count once (F9)', async () => {
    const name = `F9 over ${kind}`;
    const random = openRandom(name);
    await withRating();
    const options = { of: 'f9', count: sized({ short: 500, long: 5_000 }), movies: 50, viewers: 100 };
    const internal = randomVersions(random, options);
    const external = randomRatings(random, options);
    const messages = [
      ...internal.map((rating) => ownMessage(rating)),
      ...external.map((rating) => externalMessage(rating)),
    ];
    await world.publish(messages);
    await world.settled();
    await world.loseLog();
    const news = randomRatings(random, options);
    await world.publish([...messages, ...news.map((rating) => externalMessage(rating))]);
    await world.settled();
    const { lost, double } = await expectEffectOf(world, [...internal, ...external, ...news]);
    expect((await world.pool.query('SELECT FROM messaging.dead_letter')).rowCount).toBe(0);
    reportFault({ fault: name, runs: 1, events: messages.length * 2 + news.length, lost, double });
  });
});

const isOf =
  ({ partition }: GroupPosition) =>
  (other: GroupPosition) =>
    other.partition === partition;

/** Returns the minimum, the median and the maximum as text. */
const spreadOf = (times: readonly number[]): string => {
  const sorted = times.map(Math.round).sort((one, other) => one - other);
  return `${sorted[0]} / ${sorted[Math.floor(sorted.length / 2)]} / ${sorted.at(-1)} ms`;
};
