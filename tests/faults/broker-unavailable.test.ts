import { setTimeout as delay } from 'node:timers/promises';
import { aggregatedRatings, ratings } from '@cinegraph/events/topics';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { startTestKafkaCluster } from '@cinegraph/testing/kafka';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { know, numbered } from '../support/known-movies.js';
import { startProxy, type Proxy } from './proxy.js';
import { auditAll, drained, readPublished, type PublishedLog } from './published.js';
import { openRandom, reportFault, sized, type FaultRandom, faultTimeoutMs } from './support.js';
import { acknowledged, auditVotes, externalVote, startVoting } from './votes.js';
import { brokerKinds, differenceOf, startFaultWorld, storedTotals, totalsOf } from './world.js';
import type { FaultWorld, Totals } from './world.js';

const topics = [ratings.name, aggregatedRatings.name];

describe.each(brokerKinds)('an unavailable broker, %s', (kind) => {
  let world: FaultWorld;
  let log: PublishedLog;
  /** The proxy in front of the broker in PostgreSQL; Kafka is used without one. */
  let way: Proxy | undefined;
  let url = '';
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    world = await startFaultWorld({ broker: kind });
    closing.push(() => world.stop());
    log = await readPublished(world, topics);
    closing.push(() => log.stop());
    const env: Record<string, string> = {};
    if ('url' in world.address) {
      const direct = new URL(world.address.url);
      way = await startProxy(Number(direct.port));
      env['DATABASE_URL_EVENTS'] = Object.assign(direct, { port: String(way.port) }).href;
    }
    url = await world.startRating(env).url;
  }, 120_000);

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
    await way?.stop();
  }, 60_000);

  it('mutations succeed while the broker is unavailable, and are published afterwards (F7)', async () => {
    const random = openRandom(`F7 over ${kind}`);
    const outageMs = sized({ short: 3_000, long: 30_000 });
    const name = `f7-${kind}`;
    const voting = startVoting(world, { random, name, clients: 4, pauseMs: 10, urls: () => [url] });
    await until(async () => voting.votes.length > 50, 'enough votes are in', faultTimeoutMs);
    const waited = await withoutBroker(world, url, outageMs, {
      cut: async () => (way ? way.cut() : world.kafka?.kill()),
      restore: async () => (way ? way.restore() : world.kafka?.restart()),
    });
    const votes = await voting.stop();
    const tookMs = await drained(world);
    const published = await auditAll(world, log);
    const stored = await auditVotes(world.pool, name, votes);

    expect(acknowledged(votes)).toHaveLength(votes.length);
    expect(waited).toBeGreaterThan(0);
    expect(stored).toEqual({ lost: 0, double: 0 });
    reportFault({
      fault: `F7 broker unavailable ${outageMs / 1_000} s, ${kind}`,
      runs: 1,
      events: votes.length,
      lost: published.lost + stored.lost,
      double: published.double + stored.double,
      note: `${waited} waited, drained in ${Math.round(tookMs)} ms; published again ${published.again}`,
    });
  }, 240_000);
});

// It takes three brokers and some minutes, and therefore runs only in the long form.
if (brokerKinds.includes('kafka') && sized({ short: false, long: true }))
  describe('an unavailable broker, one of three in Kafka and then all', () => {
    let cluster: readonly KafkaServer[];
    let world: FaultWorld;
    let log: PublishedLog;
    const closing: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      cluster = await startTestKafkaCluster();
      closing.push(() => Promise.all(cluster.map(({ stop }) => stop())));
      world = await startFaultWorld({
        broker: 'kafka',
        kafkaBrokers: cluster.flatMap(({ brokers }) => brokers),
      });
      closing.push(() => world.stop());
      log = await readPublished(world, topics);
      closing.push(() => log.stop());
    }, 180_000);

    afterAll(async () => {
      for (const close of closing.reverse()) await close();
    }, 120_000);

    it('mutations are published while one broker is down, or after all were; each consumed rating counts once (F7)', async () => {
      const random = openRandom('F7 over three brokers');
      const outageMs = 30_000;
      const name = 'f7-three';
      const url = await world.startRating().url;
      const voting = startVoting(world, { random, name, clients: 4, pauseMs: 10, urls: () => [url] });
      await until(async () => voting.votes.length > 50, 'enough votes are in', faultTimeoutMs);
      await log.caughtUp();
      const stopPublishing = keepPublishingVotes(world, random);

      const one = cluster[random.int(cluster.length)]!;
      await one.kill();
      const killedAt = performance.now();
      const lastPosition = await lastEntry(world);
      await until(
        async () => isPublished(world, lastPosition),
        'what was recorded at the kill is published by two relays',
        faultTimeoutMs,
      );
      const withTwoMs = performance.now() - killedAt;
      await until(
        async () => performance.now() - killedAt > outageMs,
        'the broker was unavailable long enough',
        faultTimeoutMs,
      );
      await one.restart();

      const waited = await withoutBroker(world, url, outageMs, {
        cut: () => Promise.all(cluster.map(({ kill }) => kill())),
        restore: () => Promise.all(cluster.map(({ restart }) => restart())),
      });
      const backAt = performance.now();
      const [votes, came] = await Promise.all([voting.stop(), stopPublishing()]);
      await drained(world);
      const tookMs = performance.now() - backAt;
      await world.settled();
      const published = await auditAll(world, log);
      const stored = await auditVotes(world.pool, name, votes);
      const taken = differenceOf(totalsOf(came), await totalsLike(world, 'f7-coming:'));

      expect(acknowledged(votes)).toHaveLength(votes.length);
      expect(waited).toBeGreaterThan(0);
      expect({ stored, taken }).toEqual({ stored: { lost: 0, double: 0 }, taken: { lost: 0, double: 0 } });
      reportFault({
        fault: `F7 one of three brokers unavailable ${outageMs / 1_000} s, then all, kafka`,
        runs: 1,
        events: votes.length + came.length,
        lost: published.lost + stored.lost + taken.lost,
        double: published.double + stored.double + taken.double,
        note: `${votes.length} votes, refused ${votes.length - acknowledged(votes).length}; two took over in ${Math.round(withTwoMs)} ms; ${waited} waited for all, drained in ${Math.round(tookMs)} ms; published again ${published.again}`,
      });
    }, 300_000);
  });

/** Publishes external ratings, each batch until the broker has it; `stop` returns all of them. */
const keepPublishingVotes = (world: FaultWorld, random: FaultRandom) => {
  const ratings: { movieId: string; viewerId: string; score: number }[] = [];
  const stopping = new AbortController();
  const coming = (async () => {
    await know(world.pool, numbered('f7-coming', 20));
    while (!stopping.signal.aborted) {
      const some = Array.from({ length: 10 }, (_, at) => ({
        movieId: `f7-coming:${random.int(20)}`,
        viewerId: String(ratings.length + at),
        score: 1 + random.int(10),
      }));
      ratings.push(...some);
      const messages = some.map((vote) => externalVote(vote.movieId, vote.viewerId, vote.score));
      const isThere = () =>
        world.publish(messages).then(
          () => true,
          () => false,
        );
      await until(isThere, 'the broker has the message', 120_000);
      await delay(50);
    }
  })();
  coming.catch(() => undefined);
  return async () => {
    stopping.abort();
    await coming;
    return ratings;
  };
};

const totalsLike = async ({ pool }: FaultWorld, prefix: string): Promise<Totals> =>
  new Map([...(await storedTotals(pool))].filter(([id]) => id.startsWith(prefix)));

/**
 * Cuts the broker off for `outageMs`, in which the service at `url` stays ready. Returns how many outbox
 * entries wait.
 */
const withoutBroker = async (
  world: FaultWorld,
  url: string,
  outageMs: number,
  broker: { readonly cut: () => Promise<unknown>; readonly restore: () => Promise<unknown> },
): Promise<number> => {
  await broker.cut();
  const unavailableFrom = performance.now();
  await until(
    async () => {
      const response = await fetch(`${url}/health/ready`);
      expect(response.status).toBe(200);
      const { checks } = (await response.json()) as { readonly checks: Readonly<Record<string, string>> };
      return checks['broker'] === 'unavailable';
    },
    'readiness reports the broker as unavailable',
    faultTimeoutMs,
  );
  await until(
    async () => performance.now() - unavailableFrom > outageMs,
    'the broker was unavailable long enough',
    faultTimeoutMs,
  );
  const { rows } = await world.pool.query<{ waiting: number }>(
    'SELECT coalesce(sum(size), 0)::int AS waiting FROM messaging.outbox WHERE published_at IS NULL',
  );
  await broker.restore();
  return rows[0]?.waiting ?? 0;
};

const lastEntry = async ({ pool }: FaultWorld): Promise<string> => {
  const { rows } = await pool.query<{ position: string }>(
    'SELECT max(position) AS position FROM messaging.outbox',
  );
  return rows[0]?.position ?? '0';
};

const isPublished = async ({ pool }: FaultWorld, position: string): Promise<boolean> => {
  const { rowCount } = await pool.query(
    'SELECT FROM messaging.outbox WHERE position <= $1 AND published_at IS NULL LIMIT 1',
    [position],
  );
  return rowCount === 0;
};
