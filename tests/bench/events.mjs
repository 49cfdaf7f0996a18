/*
 * What ratings cost on their way in and out, each figure against another of the same run:
 *
 *   ingest    Kafka -> database, 200,000 events through one consumer process, against the same set-based statement fed directly
 *   mutations 256 at a time on one movie: batches against one transaction each
 *   growth    cost of an event with 5,000,000 ratings stored, against 10,000
 *   lag       from a broker's acknowledgement to the aggregate that a query shows, at half the ingest's rate; and from a
 *             mutation's answer to its event at a Kafka consumer, idle
 *
 * npm run bench -- events [names; all unless told]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@cinegraph/kit/clock';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '@cinegraph/kit/postgres/embedded';
import { createLogger } from '@cinegraph/kit/logger';
import { migrate } from '@cinegraph/kit/migrate';
import { openKafkaBroker } from '@cinegraph/kit/broker-kafka';
import { startTestKafka } from '@cinegraph/kit/testing/kafka';
import { testPool } from '@cinegraph/kit/testing/database';
import { applyEvents, createRatingCommands, writeRatings } from '@cinegraph/rating/commands';
import { PrismaClient } from '@cinegraph/rating/generated/prisma/client';
import { inTransaction } from '@cinegraph/kit/transaction';
import { migrations } from '@cinegraph/rating/migrations';
import { PrismaPg } from '@prisma/adapter-pg';
import { writeSection } from './report.mjs';

const wanted = process.argv.slice(2);
const runs = (name) => wanted.length === 0 || wanted.includes(name);
const events = 200_000;
const movies = 5_000;
const scores = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

const folder = await mkdtemp(join(tmpdir(), 'bench-events-'));
const server = await startEmbeddedPostgres({ directory: join(folder, 'data') });
const closing = [];
let databases = 0;
const lines = [];
const say = (line) => {
  lines.push(line);
  process.stdout.write(`${line}\n`);
};

try {
  if (runs('mutations')) await measureMutations();
  if (runs('growth')) await measureGrowth();
  if (runs('ingest') || runs('lag')) await measureIngest();
  if (wanted.length === 0)
    writeSection(
      'Ratings in and out by events',
      'npm run bench -- events',
      lines.map((line) => `- ${line}`).join('\n'),
    );
} finally {
  for (const close of closing.reverse()) await close();
  await server.stop();
  await removeEmbeddedPostgres(join(folder, 'data'));
  await rm(folder, { recursive: true, force: true });
}

async function freshDatabase() {
  const url = await server.ensureDatabase(`rating_${(databases += 1)}`);
  await migrate({ url, migrations });
  const pool = testPool(url);
  closing.push(() => pool.end());
  return { url, pool };
}

function openPrisma(url, connections) {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) });
  closing.push(() => prisma.$disconnect());
  return prisma;
}

/** Event `n` of a stream in which a few movies get most of the ratings; each viewer rates a movie once. */
function ratingOf(n) {
  return {
    movieId: `bench:${Math.floor(movies * ((n * 0.6180339887) % 1) ** 2)}`,
    user: n,
    score: 1 + ((n * 7) % 10),
  };
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
    prisma.$transaction(
      (tx) => writeRatings(tx, [{ command: command(), trace: null, keyed: null }], new Date()),
      { maxWait: 60_000, timeout: 60_000 },
    );
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

/** Applies events n to n + count directly, in batches as the consumer has them; answers seconds. */
async function feedDirectly(pool, from, count, batch = 5_000) {
  const began = performance.now();
  for (let at = from; at < from + count; at += batch) {
    const incoming = Array.from({ length: Math.min(batch, from + count - at) }, (_, place) => {
      const { movieId, user, score } = ratingOf(at + place);
      return {
        movieId,
        viewerId: `ratings:${user}`,
        score,
        review: null,
        trace: null,
        order: { appendedAt: new Date(1_700_000_000_000 + at), partition: 0, offset: BigInt(at + place) },
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
      `INSERT INTO aggregated_rating (movie_id, sum, count, ${scores.map((s) => `s${s}`).join(', ')})
       SELECT movie_id, sum(score), count(*), ${scores.map((s) => `count(*) FILTER (WHERE score = ${s})`).join(', ')}
       FROM rating GROUP BY movie_id`,
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

async function measureIngest() {
  const direct = await freshDatabase();
  const fed = events / (await feedDirectly(direct.pool, 0, events));
  const kafka = await startTestKafka();
  closing.push(() => kafka.stop());
  const logger = createLogger({ name: 'bench', level: 'warn' });
  const topics = [{ name: 'ratings', keeps: 'happenings' }];
  const broker = openKafkaBroker({ clientId: 'bench', topics, logger, brokers: kafka.brokers });
  await broker.part.start();
  closing.push(() => broker.part.stop());
  const messageOf = (n) => {
    const { movieId, user, score } = ratingOf(n);
    const event = {
      userId: `${user}`,
      recordId: movieId,
      recordType: 'movie',
      value: score,
      providerId: 'bench',
      eventType: 'put',
    };
    return { topic: 'ratings', key: movieId, value: Buffer.from(JSON.stringify(event)), headers: {} };
  };
  const publish = async (from, count) => {
    for (let at = from; at < from + count; at += 2_000) {
      await broker.publish(
        Array.from({ length: Math.min(2_000, from + count - at) }, (_, place) => messageOf(at + place)),
      );
    }
  };
  await publish(0, events);

  const stored = await freshDatabase();
  const main = fileURLToPath(new URL('../../subgraphs/rating/dist/main.js', import.meta.url));
  const rating = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      LOG_LEVEL: 'warn',
      DATABASE_URL_RATING: stored.url,
      KAFKA_BROKERS: kafka.brokers.join(','),
      INGEST_SCALE: '10',
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  closing.push(async () => {
    const ended = once(rating, 'exit');
    rating.kill('SIGTERM');
    await ended;
  });
  const [{ url }] = await once(rating, 'message');
  const countOf = async () => Number((await stored.pool.query('SELECT count(*) FROM rating')).rows[0].count);
  const first = await waitFor(async () => {
    const count = await countOf();
    return count > 0 && { count, at: performance.now() };
  });
  const memory = [];
  const last = await waitFor(async () => {
    memory.push(await residentMiB(rating.pid));
    const count = await countOf();
    return count >= events && { count, at: performance.now() };
  });
  const consumed = ((last.count - first.count) / (last.at - first.at)) * 1_000;
  say(
    `Kafka to database, ${events} events: ${round(consumed)}/s, fed directly ${round(fed)}/s: ratio ${(consumed / fed).toFixed(2)}; ` +
      `memory of rating ${round(memory[Math.floor(memory.length / 4)])} MiB after a quarter, ${round(Math.max(...memory))} MiB at most`,
  );
  if (runs('lag')) await measureLag({ broker, publish, url, kafka, consumed, pool: stored.pool });
}

async function measureLag({ broker, publish, url, kafka, consumed, pool }) {
  await waitFor(
    async () =>
      Number((await pool.query('SELECT count(*) FROM outbox WHERE published_at IS NULL')).rows[0].count) ===
      0,
    300_000,
  );
  const ask = async (body) => {
    const response = await fetch(url.endsWith('/graphql') ? url : `${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  };
  let sent = events;
  for (const share of [0.125, 0.25, 0.5]) {
    const perSecond = consumed * share;
    // Steady load, in pieces of a twentieth of a second.
    let loading = true;
    const load = (async () => {
      while (loading) {
        const began = performance.now();
        const piece = Math.round(perSecond / 20);
        await publish(sent, piece);
        sent += piece;
        await delay(Math.max(0, 50 - (performance.now() - began)));
      }
    })();
    const from = sent;
    const began = performance.now();
    const visible = [];
    for (let at = 0; at < 100; at += 1) {
      const movie = `probe:${share}:${at}`;
      const event = { userId: 'probe', recordId: movie, recordType: 'movie', value: 7, eventType: 'put' };
      await broker.publish([
        { topic: 'ratings', key: movie, value: Buffer.from(JSON.stringify(event)), headers: {} },
      ]);
      const acknowledgedAt = performance.now();
      await waitFor(
        async () => {
          const { _entities } = await ask({
            query:
              'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Movie { aggregatedRating { count } } } }',
            variables: { r: [{ __typename: 'Movie', id: movie }] },
          });
          return _entities[0].aggregatedRating.count === 1;
        },
        30_000,
        10,
      );
      visible.push(performance.now() - acknowledgedAt);
    }
    loading = false;
    await load;
    const reached = ((sent - from) / (performance.now() - began)) * 1_000;
    visible.sort((left, right) => left - right);
    say(
      `acknowledged to visible at ${round(reached)} events/s (${share} of the ingest above was asked for): p50 ${round(visible[50])} ms, p99 ${round(visible[98])} ms`,
    );
    await waitFor(
      async () =>
        Number((await pool.query('SELECT count(*) FROM outbox WHERE published_at IS NULL')).rows[0].count) ===
        0,
      300_000,
    );
  }

  const arrived = new Map();
  const own = { name: 'rating.ratings.v1', keeps: 'happenings' };
  const reader = openKafkaBroker({
    clientId: 'bench-reader',
    topics: [own],
    logger: createLogger({ name: 'bench', level: 'warn' }),
    brokers: kafka.brokers,
  });
  await reader.part.start();
  const subscription = reader.subscribe({
    group: 'bench.reader',
    topics: [own.name],
    onBatch: async (messages) => {
      for (const { value } of messages) {
        const { data } = JSON.parse(value.toString());
        if (data.viewerId.startsWith('idle:')) arrived.set(data.viewerId, performance.now());
      }
    },
  });
  await subscription.start();
  const idle = [];
  for (let at = -20; at < 200; at += 1) {
    const viewer = `idle:${at}`;
    // Straight into the outbox, as a mutation does it: rating was started without a key, so that nobody can vote.
    await pool.query(
      `INSERT INTO outbox (type, topic, key, payload) VALUES ('RatingSubmitted', 'rating.ratings.v1', 'idle',
         jsonb_build_object('movieId', 'idle', 'viewerId', $1::text, 'score', 5, 'review', null, 'version', 1))`,
      [viewer],
    );
    const answeredAt = performance.now();
    const seenAt = await waitFor(async () => arrived.get(viewer), 60_000, 2);
    if (at >= 0) idle.push(Math.max(0, seenAt - answeredAt));
    await delay(20);
  }
  await subscription.stop();
  await reader.part.stop();
  idle.sort((left, right) => left - right);
  say(`outbox to a Kafka consumer, idle: p50 ${round(idle[100])} ms, p99 ${round(idle[197])} ms`);
}

async function waitFor(look, withinMs = 600_000, everyMs = 100) {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > endsAt) throw new Error('what was waited for did not come');
    await delay(everyMs);
  }
}

async function residentMiB(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

function median(results) {
  const keys = Object.keys(results[0]);
  const middle = (key) =>
    results.map((result) => result[key]).sort((left, right) => left - right)[Math.floor(results.length / 2)];
  return Object.fromEntries(keys.map((key) => [key, middle(key)]));
}

function round(value) {
  return Math.round(value).toLocaleString('en-US');
}
