/*
 * Measures the cost of consumed and published ratings, each figure relative to another one of the same run:
 *
 *   ingest    from Kafka to the database, 200,000 events through one consumer process; relative to the same
 *             set-based statement without a broker
 *   mutations 256 at a time on one movie; batches relative to one transaction each
 *   growth    cost of an event with 5,000,000 ratings stored; relative to 10,000
 *   lag       from a broker's acknowledgement to the aggregate that a query returns, at half the rate of
 *             ingest; and from the response to a mutation to its event at a Kafka consumer, when idle
 *
 * npm run bench -- events [names; by default all]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cinegraph/service/clock';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { createLogger } from '@cinegraph/service/logger';
import { migrateAll } from '@cinegraph/database/migrate';
import { testPool } from '@cinegraph/testing/database';
import { createRatingCommands } from '@cinegraph/rating/commands';
import { PrismaClient } from '@cinegraph/rating/generated/prisma/client';
import { inTransaction } from '@cinegraph/database/transaction';
import { migrations } from '@cinegraph/rating/migrations';
import { writeKnownMovies } from '@cinegraph/rating/write-known-movies';
import { applyEvents, writeRatings } from '@cinegraph/rating/write-ratings';
import { PrismaPg } from '@prisma/adapter-pg';
import { measureIngest } from './events-ingest.mjs';
import { movies, ratingOf, round } from './events-stream.mjs';
import { cleaningUp, writeSection } from './report.mjs';

const requested = process.argv.slice(2);
const runs = (name) => requested.length === 0 || requested.includes(name);
const scores = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

const folder = await mkdtemp(join(tmpdir(), 'bench-events-'));
const starting = startEmbeddedPostgres({ directory: join(folder, 'data') });
const closing = [];
let databases = 0;
const lines = [];
const say = (line) => {
  lines.push(line);
  process.stdout.write(`${line}\n`);
};
const cleanUp = cleaningUp(async () => {
  for (const close of closing.reverse()) await close();
  await (await starting).stop();
  await removeEmbeddedPostgres(join(folder, 'data'));
  await rm(folder, { recursive: true, force: true });
});
const server = await starting;

try {
  if (runs('mutations')) await measureMutations();
  if (runs('growth')) await measureGrowth();
  if (runs('ingest') || runs('lag')) {
    await measureIngest({ know, freshDatabase, feedDirectly, closing, say, withLag: runs('lag') });
  }
  if (requested.length === 0)
    writeSection(
      'Ratings in and out by events',
      'npm run bench -- events',
      lines.map((line) => `- ${line}`).join('\n'),
    );
} finally {
  await cleanUp();
}

async function freshDatabase() {
  const url = await server.ensureDatabase(`rating_${(databases += 1)}`);
  await migrateAll(url, migrations);
  const pool = testPool(url);
  closing.push(() => pool.end());
  await know(pool, ['hot', ...Array.from({ length: movies }, (_, at) => `bench:${at}`)]);
  return { url, pool };
}

/** Makes movies known, as metadata's events do. */
function know(pool, ids) {
  return inTransaction(pool, (tx) =>
    writeKnownMovies(
      tx,
      ids.map((movie) => ({ movie, version: 1, deleted: false })),
    ),
  );
}

function openPrisma(url, connections) {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) });
  closing.push(() => prisma.$disconnect());
  return prisma;
}

async function measureMutations() {
  const { url } = await freshDatabase();
  const prisma = openPrisma(url, 10);
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const { rate } = createRatingCommands({ prisma, clock: systemClock, logger });
  let viewer = 0;
  const command = () => ({
    movieId: 'hot',
    viewerId: `bench:${(viewer += 1)}`,
    score: 1 + (viewer % 10),
    review: null,
  });
  const alone = () =>
    prisma.$transaction((tx) => writeRatings(tx, [{ command: command(), trace: null }], new Date()), {
      maxWait: 60_000,
      timeout: 60_000,
    });
  const takeTurn = async (write) => {
    const latencies = [];
    const endsAt = performance.now() + 4_000;
    const began = performance.now();
    await Promise.all(
      Array.from({ length: 256 }, async () => {
        while (performance.now() < endsAt) {
          const sentAt = performance.now();
          await write();
          latencies.push(performance.now() - sentAt);
        }
      }),
    );
    latencies.sort((left, right) => left - right);
    return {
      perSecond: (latencies.length / (performance.now() - began)) * 1_000,
      p99: latencies[Math.floor(latencies.length * 0.99)],
    };
  };
  const batched = [];
  const single = [];
  for (let round = 0; round < 4; round += 1) {
    const [inBatches, one] = [await takeTurn(() => rate(command())), await takeTurn(alone)];
    if (round > 0) {
      batched.push(inBatches);
      single.push(one);
    }
  }
  const [batches, one] = [median(batched), median(single)];
  say(
    `mutations on one movie, 256 at a time: ${round(batches.perSecond)}/s in batches (p99 ${round(batches.p99)} ms), ` +
      `${round(one.perSecond)}/s one transaction each (p99 ${round(one.p99)} ms): ${(batches.perSecond / one.perSecond).toFixed(1)} times`,
  );
}

/** Applies events n to n + count directly, in batches like the consumer's. Returns the seconds. */
async function feedDirectly(pool, from, count, batch = 5_000) {
  const began = performance.now();
  for (let at = from; at < from + count; at += batch) {
    const incoming = Array.from({ length: Math.min(batch, from + count - at) }, (_, index) => {
      const { movieId, user, score } = ratingOf(at + index);
      return {
        movieId,
        viewerId: `ratings:${user}`,
        score,
        review: null,
        trace: null,
        order: { appendedAt: new Date(1_700_000_000_000 + at), partition: 0, offset: BigInt(at + index) },
      };
    });
    await inTransaction(pool, (tx) => applyEvents(tx, incoming, new Date()));
  }
  return (performance.now() - began) / 1_000;
}

async function measureGrowth() {
  const sizes = [10_000, 5_000_000];
  const stores = [];
  for (const size of sizes) {
    const { pool } = await freshDatabase();
    await pool.query(
      `INSERT INTO rating (movie_id, viewer_id, score, origin, event_time, event_partition, event_offset, created_at, updated_at)
       SELECT 'bench:' || floor(${movies} * power(mod(n * 0.6180339887, 1), 2))::int, 'stored:' || n, 1 + (n * 7) % 10,
         'bench', to_timestamp(n), 0, n, to_timestamp(n), to_timestamp(n)
       FROM generate_series(1, ${size}) AS n`,
    );
    await pool.query(
      `INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, ${scores.map((s) => `s${s}`).join(', ')})
       SELECT movie_id, 'known', sum(score), count(*), ${scores.map((s) => `count(*) FILTER (WHERE score = ${s})`).join(', ')}
       FROM rating GROUP BY movie_id
       ON CONFLICT (movie_id) DO UPDATE SET sum = excluded.sum, count = excluded.count,
         ${scores.map((s) => `s${s} = excluded.s${s}`).join(', ')}`,
    );
    await pool.query('VACUUM ANALYZE');
    await pool.query('CHECKPOINT').catch(() => undefined);
    stores.push({ pool, seconds: [] });
  }
  for (let turn = 0; turn < 6; turn += 1) {
    for (const store of stores) {
      const seconds = await feedDirectly(store.pool, turn * 20_000, 20_000);
      if (turn > 0) store.seconds.push({ seconds });
    }
  }
  const [small, large] = stores.map(({ seconds }) => median(seconds).seconds);
  say(
    `20,000 events with 10,000 ratings stored: ${round(20_000 / small)}/s, with 5,000,000: ${round(20_000 / large)}/s: ` +
      `an event costs ${(large / small).toFixed(2)} times as much`,
  );
}

function median(results) {
  const keys = Object.keys(results[0]);
  const middle = (key) =>
    results.map((result) => result[key]).sort((left, right) => left - right)[Math.floor(results.length / 2)];
  return Object.fromEntries(keys.map((key) => [key, middle(key)]));
}
