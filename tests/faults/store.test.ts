import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { aggregatedRatings, ratings } from '@cinegraph/events/topics';
import {
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '@cinegraph/local/postgres/embedded';
import { testPool } from '@cinegraph/testing/database';
import { rating } from '@cinegraph/rating/subgraph';
import { until } from '@cinegraph/testing/until';
import type { ServiceProcess } from '../support/service-process.js';
import { know, numbered } from '../support/known-movies.js';
import { auditEffects, auditPublished, nothingWrong, readPublished, type PublishedLog } from './published.js';
import { openRandom, reportFault, sized, type FaultRandom, faultTimeoutMs } from './support.js';
import { acknowledged, auditVotes, externalVote, startVoting, submitRating } from './votes.js';
import { brokerKinds, crash, differenceOf, startFaultWorld, storedTotals, totalsOf } from './world.js';
import type { FaultWorld } from './world.js';

describe.each(brokerKinds)('an unreliable database of rating, %s', (kind) => {
  let directory: string;
  let server: EmbeddedPostgres;
  let world: FaultWorld;
  let log: PublishedLog;
  let service: ServiceProcess;
  let url = '';
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cinegraph-faults-'));
    await chmod(directory, 0o711);
    // Durability is on, as in `npm start`: a commit is on the disk.
    server = await startEmbeddedPostgres({ directory });
    closing.push(async () => {
      await server.stop();
      await removeEmbeddedPostgres(directory);
      await rm(directory, { recursive: true, force: true });
    });
    world = await startFaultWorld({
      broker: kind,
      databaseUrl: await server.ensureDatabase('rating'),
      logUrl: await server.ensureDatabase('events'),
    });
    closing.push(() => world.stop());
    service = world.startRating();
    url = await service.url;
    log = await readPublished(world, [ratings.name, aggregatedRatings.name]);
    closing.push(() => log.stop());
  }, 120_000);

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  }, 60_000);

  /** Publishes external ratings until it is stopped; `stop` returns those that were acknowledged. */
  const startIncoming = (random: FaultRandom, name: string) => {
    const sent: { movieId: string; viewerId: string; score: number }[] = [];
    let stopping = false;
    const known = know(world.pool, numbered(name, 20));
    const run = async () => {
      await known;
      while (!stopping) {
        const some = Array.from({ length: 5 }, (_, at) => ({
          movieId: `${name}:${random.int(20)}`,
          viewerId: `${name}-${sent.length + at}`,
          score: 1 + random.int(10),
        }));
        const messages = some.map((vote) => externalVote(vote.movieId, vote.viewerId, vote.score));
        // It is unknown whether they were appended; publishing them again has the same effect.
        while (
          !(await world.publish(messages).then(
            () => true,
            () => false,
          ))
        )
          await delay(20);
        sent.push(...some);
        await delay(100);
      }
    };
    const running = run();
    return async () => {
      stopping = true;
      await running;
      return sent;
    };
  };

  /** Waits until everything is consumed and published, and counts what is lost and what is double. */
  const audit = async () => {
    await world.settled();
    await log.caughtUp();
    const published = await auditPublished(world.pool, log);
    const effects = await auditEffects(world.pool, log);
    expect({ published, effects }).toMatchObject(nothingWrong);
    return published;
  };

  const auditIncoming = async (
    name: string,
    sent: readonly { movieId: string; viewerId: string; score: number }[],
  ) => {
    const stored = await storedTotals(world.pool);
    return differenceOf(totalsOf(sent), new Map([...stored].filter(([id]) => id.startsWith(`${name}:`))));
  };

  const ready = async () => (await fetch(`${url}/health/ready`)).status;

  it('acknowledged ratings are kept, however often PostgreSQL is killed (F4)', async () => {
    const random = openRandom(`F4 over ${kind}`);
    const kills = sized({ short: kind === 'kafka' ? 2 : 3, long: 10 });
    const name = `f4-${kind}`;
    const voting = startVoting(world, { random, name, clients: 8, urls: () => [url] });
    const stopIncoming = startIncoming(random, `f4-in-${kind}`);
    const [toldAway, toServe]: [number[], number[]] = [[], []];
    for (let kill = 0; kill < kills; kill += 1) {
      const before = acknowledged(voting.votes).length;
      await until(
        async () => acknowledged(voting.votes).length > before + 50,
        'enough votes are in',
        faultTimeoutMs,
      );
      await delay(random.int(300));
      const killedAt = performance.now();
      process.kill(server.pid, 'SIGKILL');
      await until(async () => (await ready()) === 503, 'readiness is 503', faultTimeoutMs);
      toldAway.push(performance.now() - killedAt);
      server = await startEmbeddedPostgres({ directory, port: server.port });
      const acceptsAt = performance.now();
      await until(
        async () => acknowledged(voting.votes).some(({ askedAt }) => askedAt > acceptsAt),
        'rating serves',
        faultTimeoutMs,
      );
      toServe.push(performance.now() - acceptsAt);
      await until(async () => (await ready()) === 200, 'readiness is 200', faultTimeoutMs);
    }
    const votes = await voting.stop();
    const incoming = await stopIncoming();
    const published = await audit();
    const stored = await auditVotes(world.pool, name, votes);
    const taken = await auditIncoming(`f4-in-${kind}`, incoming);

    expect({ stored, taken }).toEqual({ stored: { lost: 0, double: 0 }, taken: { lost: 0, double: 0 } });
    expect(await unlisted(votes)).toEqual([]);
    reportFault({
      fault: `F4 PostgreSQL killed, ${kind}`,
      runs: kills,
      events: acknowledged(votes).length + incoming.length,
      lost: published.lost + stored.lost + taken.lost,
      double: stored.double + taken.double,
      note: `503 in at most ${Math.round(Math.max(...toldAway))} ms, serving ${Math.round(Math.max(...toServe))} ms after it accepts`,
    });
  }, 240_000);

  it('rating continues although all its connections are cut again and again (F5)', async () => {
    const random = openRandom(`F5 over ${kind}`);
    const cuts = sized({ short: 6, long: 50 });
    const name = `f5-${kind}`;
    const superuser = testPool(server.superuserUrl);
    const voting = startVoting(world, { random, name, clients: 1, urls: () => [url] });
    const stopIncoming = startIncoming(random, `f5-in-${kind}`);
    let reads = 0;
    const failedReads: string[] = [];
    let reading = true;
    const readers = [1, 2].map(async () => {
      while (reading) {
        const query = `{ _entities(representations: [{ __typename: "Movie", id: "${name}:1" }]) {
          ... on Movie { aggregatedRating { count } }
        } }`;
        const { errors } = await world.ask(url, query, {}, 'reader');
        reads += 1;
        if (errors) failedReads.push(String(errors[0]?.extensions?.['code']));
      }
    });
    for (let cut = 0; cut < cuts; cut += 1) {
      // Enough requests that those which a cut can break, one per client, are below one percent.
      const before = voting.votes.length + reads;
      await until(
        async () => voting.votes.length + reads >= before + 300,
        'there were enough requests',
        faultTimeoutMs,
      );
      await delay(random.int(30));
      const { rowCount } = await superuser.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname IN ('rating', 'events') AND pid <> pg_backend_pid()`,
      );
      expect(rowCount).toBeGreaterThan(3);
    }
    const votes = await voting.stop();
    reading = false;
    await Promise.all(readers);
    await superuser.end();
    const incoming = await stopIncoming();
    const published = await audit();
    const stored = await auditVotes(world.pool, name, votes);
    const taken = await auditIncoming(`f5-in-${kind}`, incoming);
    const requests = votes.length + reads;
    const failed = votes.length - acknowledged(votes).length + failedReads.length;

    expect({ stored, taken }).toEqual({ stored: { lost: 0, double: 0 }, taken: { lost: 0, double: 0 } });
    expect(await unlisted([...votes, ...failedReads.map((outcome) => ({ outcome }))])).toEqual([]);
    expect(failed / requests).toBeLessThanOrEqual(0.01);
    expect(await ready()).toBe(200);
    reportFault({
      fault: `F5 all connections cut, ${kind}`,
      runs: cuts,
      events: votes.length + incoming.length,
      lost: published.lost + stored.lost + taken.lost,
      double: stored.double + taken.double,
      note: `${failed} of ${requests} requests failed; published again ${published.again}`,
    });
  }, 240_000);

  if (kind === 'postgres') {
    it('a mutation with an idempotency key is executed once and always gets the same answer, through kills (F25)', async () => {
      const random = openRandom('F25');
      const [rounds, each] = [sized({ short: 2, long: 30 }), 25];
      const name = 'f25';
      const answers = new Map<string, unknown[]>();
      await know(world.pool, numbered(name, 2));
      let broken = 0;
      for (let round = 0; round < rounds; round += 1) {
        const replica = world.startRating();
        const replicaUrl = await replica.url;
        const killed = service;
        const killing = delay(random.int(40)).then(() => crash(killed));
        await Promise.all(
          Array.from({ length: each }, async (_, at) => {
            const viewerId = `${name}:${round}-${at}`;
            const [movieId, score] = [`${name}:${random.int(2)}`, 1 + random.int(10)];
            const got: unknown[] = [];
            answers.set(viewerId, got);
            for (let sent = 0; got.length < 5; sent += 1) {
              const to = sent % 2 === 0 ? url : replicaUrl;
              const answer = await world
                .ask(to, submitRating, { movieId, score, key: viewerId }, viewerId)
                .catch(() => undefined);
              if (answer === undefined) broken += 1;
              else got.push(answer);
            }
          }),
        );
        await killing;
        [service, url] = [replica, replicaUrl];
      }
      await audit();
      const { rows } = await world.pool.query<{ viewer: string; times: number }>(
        `SELECT payload->>'viewerId' AS viewer, count(*)::int AS times FROM messaging.outbox_event
         WHERE type = 'RatingSubmitted' AND starts_with(payload->>'viewerId', $1) GROUP BY 1`,
        [`${name}:`],
      );
      const different = [...answers.values()].filter(
        (got) => new Set(got.map((one) => JSON.stringify(one))).size > 1,
      ).length;
      const effects = new Map(rows.map(({ viewer, times }) => [viewer, times]));
      const lost = [...answers.keys()].filter((viewer) => !effects.has(viewer)).length;
      const double = rows.filter(({ times }) => times > 1).length;

      expect({ lost, double, different }).toEqual({ lost: 0, double: 0, different: 0 });
      reportFault({
        fault: 'F25 sent 5 times under a key',
        runs: rounds,
        events: answers.size,
        ...{ lost, double },
        note: `${broken} more broke off; answers that differ: ${different}`,
      });
    }, 240_000);
  }
});

/** Returns the outcomes that are not codes of the schema's ErrorCode. */
const unlisted = async (votes: readonly { readonly outcome: string }[]): Promise<readonly string[]> => {
  const sdl = await readFile(rating.schema, 'utf8');
  const listed = new Set(
    /enum ErrorCode \{([^}]*)\}/
      .exec(sdl)?.[1]
      ?.match(/^ {2}[A-Z_]+$/gm)
      ?.map((code) => code.trim()),
  );
  return [...new Set(votes.map(({ outcome }) => outcome))].filter(
    (outcome) => outcome !== 'acknowledged' && (!listed.has(outcome) || outcome === 'INTERNAL_SERVER_ERROR'),
  );
};
