/* The part of the benchmark of events that has a Kafka and a rating service: `ingest` and `lag`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openKafkaBroker } from '@cinegraph/messaging/kafka/broker';
import { createLogger } from '@cinegraph/service/logger';
import { startTestKafka } from '@cinegraph/testing/kafka';
import { ratingOf, round } from './events-stream.mjs';
import { endChild } from './report.mjs';

const events = 200_000;

/** Measures ingest and, if requested, lag. `feedDirectly` writes to a database without a broker. */
export async function measureIngest({ know, freshDatabase, feedDirectly, closing, say, withLag }) {
  const direct = await freshDatabase();
  const fed = events / (await feedDirectly(direct.pool, 0, events));
  const kafka = await startTestKafka({ shortLived: false });
  closing.push(() => kafka.stop());
  const logger = createLogger({ name: 'bench', level: 'warn' });
  const topics = [{ name: 'ratings', retention: 'time' }];
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
        Array.from({ length: Math.min(2_000, from + count - at) }, (_, index) => messageOf(at + index)),
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
  closing.push(() => endChild(rating));
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
  const processor = await processorSeconds(rating.pid);
  const consumed = ((last.count - first.count) / (last.at - first.at)) * 1_000;
  say(
    `Kafka to database, ${events} events: ${round(consumed)}/s, fed directly ${round(fed)}/s: ratio ${(consumed / fed).toFixed(2)}; ` +
      `memory of rating ${round(memory[Math.floor(memory.length / 4)])} MiB after a quarter, ${round(Math.max(...memory))} MiB at most; its processor ${((processor / events) * 1e6).toFixed(1)} µs an event`,
  );
  if (withLag) await measureLag({ know, broker, publish, url, kafka, consumed, pool: stored.pool, say });
}

async function measureLag({ know, broker, publish, url, kafka, consumed, pool, say }) {
  const untold = async () => {
    const { rows } = await pool.query(
      'SELECT coalesce(sum(size), 0)::int AS events FROM messaging.outbox WHERE published_at IS NULL',
    );
    return rows[0].events;
  };
  const allTold = () => waitFor(async () => (await untold()) === 0, 300_000);
  await allTold();
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
  const loads = [
    ['a quarter of the ingest above', consumed / 4],
    ['half of the 20,000 that are expected', 10_000],
    ['half of the ingest above', consumed / 2],
  ];
  for (const [requested, perSecond] of loads) {
    // The load is steady, in pieces of 50 milliseconds.
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
    const probe = (at) => `probe:${Math.round(perSecond)}:${at}`;
    await know(
      pool,
      Array.from({ length: 100 }, (_, at) => probe(at)),
    );
    const began = performance.now();
    const visible = [];
    for (let at = 0; at < 100; at += 1) {
      const movie = probe(at);
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
        // It polls often enough to be exact, and rarely enough not to be a load of its own.
        25,
      );
      visible.push(performance.now() - acknowledgedAt);
    }
    const left = await untold();
    loading = false;
    await load;
    const reached = ((sent - from) / (performance.now() - began)) * 1_000;
    visible.sort((left, right) => left - right);
    say(
      `acknowledged to visible at ${round(reached)} events/s (asked for: ${requested}): p50 ${round(visible[50])} ms, p99 ${round(visible[98])} ms; ${round(left)} events unpublished at the end`,
    );
    await allTold();
  }

  const arrived = new Map();
  const ownTopic = { name: 'rating.ratings.v1', retention: 'time' };
  const reader = openKafkaBroker({
    clientId: 'bench-reader',
    topics: [ownTopic],
    logger: createLogger({ name: 'bench', level: 'warn' }),
    brokers: kafka.brokers,
  });
  await reader.part.start();
  const subscription = reader.subscribe({
    group: 'bench.reader',
    topics: [ownTopic.name],
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
    // Writes to the outbox as a mutation does: rating was started without a key, so that nobody can vote.
    await pool.query(
      `INSERT INTO messaging.outbox (type, topic, key, payload) VALUES ('RatingSubmitted', 'rating.ratings.v1', 'idle',
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
    if (performance.now() > endsAt) throw new Error('The condition was not met in time.');
    await delay(everyMs);
  }
}

async function residentMiB(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

/** Returns the processor time of a process in seconds. Unlike its speed, it hardly depends on other load. */
async function processorSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Fields 14 and 15 of proc(5), in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
