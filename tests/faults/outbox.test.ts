import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { aggregatedRatings, movies, ratings } from '@cinegraph/events/topics';
import { batchLimits } from '@cinegraph/messaging/outbox/table';
import { testDatabase, testPool } from '@cinegraph/testing/database';
import { metadata } from '@cinegraph/metadata/subgraph';
import { until } from '@cinegraph/testing/until';
import type { ServiceProcess } from '../support/service-process.js';
import { know, numbered } from '../support/known-movies.js';
import { startFailingKafka } from './kafka-faults.js';
import {
  auditAll,
  auditPublished,
  drained,
  nothingWrong,
  readPublished,
  type PublishedLog,
} from './published.js';
import { openRandom, reportFault, sized, faultTimeoutMs } from './support.js';
import { acknowledged, auditVotes, cast, externalVote, startVoting } from './votes.js';
import { brokerKinds, crash, differenceOf, startFaultWorld, storedTotals, totalsOf } from './world.js';
import type { FaultWorld, Totals } from './world.js';

/** How long a takeover may take before the test fails; the table of faults shows how long it took. */
const generousMs = 30_000;

describe.each(brokerKinds)('the outbox, %s', (kind) => {
  let world: FaultWorld;
  let log: PublishedLog;
  let started = 0;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    world = await startFaultWorld({ broker: kind });
    closing.push(() => world.stop());
    log = await readPublished(world, [ratings.name, aggregatedRatings.name]);
    closing.push(() => log.stop());
  }, 120_000);

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  }, 60_000);

  /** Starts a process whose database sessions have a name of their own. */
  const startNamed = (env: Readonly<Record<string, string>> = {}) => {
    started += 1;
    const name = `rating-${started}`;
    const url = new URL(world.databaseUrl);
    url.searchParams.set('application_name', name);
    return { name, service: world.startRating({ DATABASE_URL_RATING: url.href, ...env }) };
  };

  /** Returns the name of the process that holds the relay's lock. */
  const holder = async (): Promise<string | undefined> => {
    const { rows } = await world.pool.query<{ name: string }>(
      `SELECT application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
       WHERE locktype = 'advisory' AND objid = 4203003 AND granted
         AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    expect(rows.length).toBeLessThanOrEqual(1);
    return rows[0]?.name;
  };

  const stopAll = (services: readonly ServiceProcess[]) => Promise.all(services.map(crash));

  it('each rating is published once in effect and in order although the active relay is killed (F2)', async () => {
    const random = openRandom(`F2 over ${kind}`);
    const kills = sized({ short: 10, long: 50 });
    const alive = new Map<string, ServiceProcess>();
    const ready = new Map<string, string>();
    const launch = () => {
      const { name, service } = startNamed();
      alive.set(name, service);
      return service.url.then((url) => {
        ready.set(name, url);
      });
    };
    await Promise.all([launch(), launch()]);
    const name = `f2-${kind}`;
    const voting = startVoting(world, {
      random,
      name,
      clients: 4,
      pauseMs: 5,
      urls: () => [...ready.values()],
    });
    let slowestMs = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      const before = acknowledged(voting.votes).length;
      await until(
        async () => acknowledged(voting.votes).length >= before + 10,
        'there were enough votes between two kills',
        generousMs,
      );
      await delay(random.int(300));
      let killed: string | undefined;
      await until(async () => (killed = await holder()) !== undefined, 'a relay is active', generousMs);
      const service = alive.get(String(killed));
      if (killed === undefined || !service) throw new Error(`${killed} is not alive, but holds the lock.`);
      ready.delete(killed);
      alive.delete(killed);
      await crash(service);
      const killedAt = performance.now();
      const next = launch();
      await until(async () => (await holder()) !== undefined, 'another relay is active', generousMs);
      slowestMs = Math.max(slowestMs, performance.now() - killedAt);
      // There must be another process to take over after the next kill.
      await (ready.size === 0 ? next : undefined);
      next.catch(() => undefined);
    }
    const votes = await voting.stop();
    const published = await auditAll(world, log);
    const stored = await auditVotes(world.pool, name, votes);
    await stopAll([...alive.values()]);

    expect(stored).toEqual({ lost: 0, double: 0 });
    expect(published.again).toBeLessThanOrEqual(kills * batchLimits.events);
    expect(acknowledged(votes).length).toBeGreaterThanOrEqual(kills * 10);
    reportFault({
      fault: `F2 relay killed, ${kind}`,
      runs: kills,
      events: published.entries,
      lost: published.lost + stored.lost,
      double: published.double + stored.double,
      note: `published again ${published.again}; taken over in at most ${Math.round(slowestMs)} ms`,
    });
  }, 240_000);

  describe('with one process', () => {
    let service: ServiceProcess;
    let url = '';

    beforeAll(async () => {
      ({ service } = startNamed());
      url = await service.url;
    }, 60_000);

    afterAll(() => crash(service));

    // The fault never reaches a broker, so one kind is enough.
    if (kind === 'postgres')
      it('exactly the committed ratings are published when a third of the writes is rolled back (F3)', async () => {
        const random = openRandom(`F3 over ${kind}`);
        const mutations = sized({ short: 1_000, long: 10_000 });
        const name = `f3-${kind}`;
        await know(world.pool, numbered(name, 50));
        await world.pool.query(failingSql);
        const votes = Array.from({ length: mutations }, (_, at) => ({
          movieId: `${name}:${random.int(50)}`,
          // They fail in the statement, or later, when the transaction commits.
          viewerId: `${name}:${random.percent(30) ? (random.percent(50) ? 'fails:' : 'fails-late:') : ''}${at}`,
          score: 1 + random.int(10),
        }));
        const outcomes = [];
        for (let at = 0; at < votes.length; at += 40) {
          outcomes.push(
            ...(await Promise.all(votes.slice(at, at + 40).map((vote) => cast(world, url, vote)))),
          );
        }
        await world.pool.query('DROP FUNCTION fail_for_some() CASCADE');
        const published = await auditAll(world, log);
        const stored = await auditVotes(world.pool, name, outcomes);
        const publishedViewers = new Set(log.events().map(({ data }) => data['viewerId']));
        const rolledBack = votes.filter(({ viewerId }) => viewerId.includes(':fails'));

        expect(
          outcomes.filter(
            ({ viewerId, outcome }) => viewerId.includes(':fails') !== (outcome !== 'acknowledged'),
          ),
        ).toEqual([]);
        expect(rolledBack.filter(({ viewerId }) => publishedViewers.has(viewerId))).toEqual([]);
        expect(acknowledged(outcomes).filter(({ viewerId }) => !publishedViewers.has(viewerId))).toEqual([]);
        expect(stored).toEqual({ lost: 0, double: 0 });
        reportFault({
          fault: `F3 rollbacks, ${kind}`,
          runs: rolledBack.length,
          events: mutations,
          lost: published.lost + stored.lost,
          double: published.double + stored.double,
          note: `phantom ${published.phantom}`,
        });
      }, 240_000);

    it('every external rating becomes visible; the lag after its acknowledgement is measured (F26)', async () => {
      const random = openRandom(`F26 over ${kind}`);
      const messages = sized({ short: 200, long: 5_000 });
      const movieId = `f26-${kind}:1`;
      const waiting = new Map<string, number>();
      const lags: number[] = [];
      let published = false;
      await know(world.pool, numbered(`f26-${kind}`, 2));
      // A service that has just started must join its group first.
      await world.publish([externalVote(`f26-${kind}:0`, 'f26-first', 5)]);
      await world.settled();
      const watching = until(
        async () => {
          const { rows } = await world.pool.query<{ viewer: string }>(
            'SELECT viewer_id AS viewer FROM rating WHERE movie_id = $1 AND viewer_id = ANY ($2)',
            [movieId, [...waiting.keys()]],
          );
          for (const { viewer } of rows) {
            // The lag is 0 if it was visible before the acknowledgement arrived here.
            lags.push(Math.max(0, performance.now() - (waiting.get(viewer) ?? 0)));
            waiting.delete(viewer);
          }
          return published && waiting.size === 0;
        },
        'all events are visible',
        180_000,
      );
      for (let at = 0; at < messages; at += 1) {
        await world.publish([externalVote(movieId, `f26-${at}`, 1 + random.int(10))]);
        waiting.set(`ratings:f26-${at}`, performance.now());
        await delay(random.int(15));
      }
      published = true;
      await watching;
      await auditAll(world, log);
      const p99 = lags.sort((one, other) => one - other)[Math.floor(lags.length * 0.99)] ?? Infinity;

      expect(lags).toHaveLength(messages);
      reportFault({
        fault: `F26 lag of what comes in, ${kind}`,
        runs: 1,
        events: messages,
        lost: 0,
        double: 0,
        note: `acknowledged to visible p99 ${Math.round(p99)} ms, looked at every 50 ms`,
      });
    }, 240_000);
  });

  if (kind === 'kafka') {
    it('everything is published although the broker returns errors at random (F8)', async () => {
      const random = openRandom('F8 over kafka');
      const name = 'f8-kafka';
      const faults = sized({ short: 15, long: 500 });
      const failing = await startFailingKafka(world.kafka?.port ?? 0, random, 50);
      const { service } = startNamed({ KAFKA_BROKERS: failing.brokers.join(',') });
      const url = await service.url;
      const voting = startVoting(world, { random, name, clients: 4, pauseMs: 10, urls: () => [url] });
      const incoming: { movieId: string; viewerId: string; score: number }[] = [];
      await know(world.pool, numbered('f8-incoming', 20));
      await until(
        async () => {
          const some = Array.from({ length: 10 }, (_, at) => ({
            movieId: `f8-incoming:${random.int(20)}`,
            viewerId: String(incoming.length + at),
            score: 1 + random.int(10),
          }));
          await world.publish(some.map((vote) => externalVote(vote.movieId, vote.viewerId, vote.score)));
          incoming.push(...some);
          return failing.injected.records >= faults && failing.injected.groups >= faults;
        },
        'there are enough of them',
        180_000,
      );
      const votes = await voting.stop();
      failing.calm();
      await world.settled(120_000);
      const published = await auditAll(world, log);
      const stored = await auditVotes(world.pool, name, votes);
      const taken = differenceOf(totalsOf(incoming), only(await storedTotals(world.pool), 'f8-incoming:'));
      await crash(service);
      await failing.stop();

      expect(acknowledged(votes)).toHaveLength(votes.length);
      expect({ stored, taken }).toEqual({ stored: { lost: 0, double: 0 }, taken: { lost: 0, double: 0 } });
      reportFault({
        fault: 'F8 broker errors, kafka',
        runs: failing.injected.records + failing.injected.groups,
        events: votes.length + incoming.length,
        lost: published.lost + stored.lost + taken.lost,
        double: published.double + stored.double + taken.double,
        note: `published again ${published.again}`,
      });
    }, 240_000);

    it('a broker that has lost its log gets the events of the last days again (F9)', async () => {
      const random = openRandom('F9 over kafka');
      const name = 'f9-kafka';
      const database = await testDatabase({ name: 'metadata', migrations: metadata.migrations });
      const metadataPool = testPool(database.url);
      const movieLog = await readPublished(world, [movies.name]);
      closing.push(
        () => database.drop(),
        () => metadataPool.end(),
        () => movieLog.stop(),
      );
      const metadataService = world.startMetadata(database.url);
      const { service } = startNamed();
      const [metadataUrl, url] = await Promise.all([metadataService.url, service.url]);
      const change = async (query: string, variables: Record<string, unknown>): Promise<string> => {
        const { data, errors } = await world.ask(metadataUrl, query, variables, 'curator', 'metadata');
        if (!data || errors) throw new Error(errors?.[0]?.message ?? 'The response has no data.');
        const created = data['createMovie'] as { readonly movie?: { readonly id?: unknown } } | undefined;
        return String(created?.movie?.id);
      };
      const addMovies = async (count: number): Promise<void> => {
        for (let at = 0; at < count; at += 1) {
          const id = await change(
            'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
            {
              input: { title: `Lost and found ${at}` },
            },
          );
          if (random.percent(30))
            await change('mutation ($id: ID!) { deleteMovie(id: $id) { deletedMovieId } }', { id });
        }
      };
      await know(world.pool, numbered('f9-incoming', 10));
      const takeIn = async (from: number): Promise<void> => {
        await world.publish(
          Array.from({ length: 50 }, (_, at) =>
            externalVote(`f9-incoming:${at % 10}`, String(from + at), 1 + random.int(10)),
          ),
        );
        await world.settled();
      };
      const incoming = async (): Promise<number> => {
        const all = only(await storedTotals(world.pool), 'f9-incoming:');
        return [...all.values()].reduce((sum, { count }) => sum + count, 0);
      };
      const known = async (pool: FaultWorld['pool'], query: string) =>
        (await pool.query<{ id: string; deleted: boolean }>(query)).rows;
      const allKnown = () =>
        until(
          async () =>
            isDeepStrictEqual(
              await known(
                world.pool,
                `SELECT id, deleted FROM known_movie WHERE NOT starts_with(id, 'f') OR length(id) = 36 ORDER BY id`,
              ),
              await known(
                metadataPool,
                'SELECT id, deleted_at IS NOT NULL AS deleted FROM movie ORDER BY id',
              ),
            ),
          'rating knows all movies',
          faultTimeoutMs,
        );

      await addMovies(20);
      await takeIn(0);
      await allKnown();
      await drained(world);
      const entries = await metadataPool.query('SELECT FROM messaging.outbox');
      await world.kafka?.kill();
      log.forget();
      movieLog.forget();
      const voting = startVoting(world, { random, name, clients: 2, pauseMs: 10, urls: () => [url] });
      await world.kafka?.restart({ emptied: true });
      await addMovies(5);
      const votes = await voting.stop();
      await until(
        async () => {
          await movieLog.caughtUp();
          const audited = await auditPublished(metadataPool, movieLog);
          return audited.lost === 0 && audited.entries > (entries.rowCount ?? 0);
        },
        'metadata has published everything again',
        faultTimeoutMs,
      );
      await until(
        async () => {
          await log.caughtUp();
          return (await auditPublished(world.pool, log)).lost === 0;
        },
        'rating has published everything again',
        faultTimeoutMs,
      );
      await takeIn(50);
      const published = await auditAll(world, log);
      const movieEvents = await auditPublished(metadataPool, movieLog);
      const stored = await auditVotes(world.pool, name, votes);
      await allKnown();
      await stopAll([metadataService, service]);

      expect(movieEvents).toMatchObject(nothingWrong.published);
      expect(stored).toEqual({ lost: 0, double: 0 });
      expect(await incoming()).toBe(100);
      reportFault({
        fault: 'F9 Kafka lost its log',
        runs: 1,
        events: published.entries + movieEvents.entries,
        lost: published.lost + movieEvents.lost + stored.lost,
        double: published.double + stored.double,
        note: `published again ${published.again + movieEvents.again} of them twice into the new log`,
      });
    }, 240_000);
  }
});

/**
 * Triggers that reject viewers of a third of the writes, in the statement or when the transaction commits.
 */
const failingSql = `
  CREATE FUNCTION fail_for_some() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'this one fails';
  END $$;
  CREATE TRIGGER fails BEFORE INSERT ON rating FOR EACH ROW
    WHEN (NEW.viewer_id LIKE '%:fails:%') EXECUTE FUNCTION fail_for_some();
  CREATE CONSTRAINT TRIGGER fails_late AFTER INSERT ON rating DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.viewer_id LIKE '%:fails-late:%') EXECUTE FUNCTION fail_for_some()`;

const only = (totals: Totals, name: string): Totals =>
  new Map([...totals].filter(([id]) => id.startsWith(name)));
