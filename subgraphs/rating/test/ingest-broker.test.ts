import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { deadLettersOf, incomingRatings } from '@cinegraph/events/topics';
import { openPostgresBroker } from '@cinegraph/messaging/postgres/broker';
import { systemClock } from '@cinegraph/service/clock';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { openSource } from '@cinegraph/subgraph/import/source';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { seededRandom } from '@cinegraph/testing/seed';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { createIngest } from '../src/consumers/ratings-topic.js';
import { produce, produceSource } from '../src/command-line/produce.js';
import { externalEvent } from './messages.js';
import { runCommand } from './run-command.js';
import { ratingWorld } from './world.js';

const logger = silentLogger;

let world: Awaited<ReturnType<typeof ratingWorld>>;
let events: TestDatabase;
beforeAll(async () => {
  world = await ratingWorld();
  events = await testDatabase({
    name: 'events',
    migrations: [brokerMigrations],
  });
});
afterAll(async () => {
  await world.subgraph.stop();
  await events.drop();
});

const openBroker = async () => {
  const topics = [incomingRatings, deadLettersOf(incomingRatings)];
  const broker = openPostgresBroker({ clientId: 'test', topics, logger, url: events.url });
  await broker.part.start();
  return broker;
};

describe('a file that is produced', () => {
  it('a produced file is consumed completely over the log in PostgreSQL, while members of the group come and go', async () => {
    const random = seededRandom('members');
    const folder = await mkdtemp(join(tmpdir(), 'ingest-'));
    const path = join(folder, 'events.jsonl');
    const lines = Array.from({ length: 6_000 }, () => ({
      user: random.int(400),
      movie: `m:${random.int(60)}`,
      value: random.int(5) === 0 ? null : random.int(10) + 1,
    }));
    await writeFile(
      path,
      lines.map(({ user, movie, value }) => JSON.stringify(externalEvent(user, movie, value))).join('\n'),
    );
    const broker = await openBroker();
    const enter = async () => {
      const member = createConsumer(
        { subgraph: 'rating', broker, pool: world.subgraph.pool, logger },
        createIngest({ clock: systemClock }, { secret: testSubgraphKey, scale: 10, idPrefix: '' }),
      );
      await member.start();
      return member;
    };
    const members = [await enter()];
    const producing = produceSource(
      {
        broker,
        folder,
        progress: { update: () => undefined, stop: () => undefined },
        onRefused: () => undefined,
      },
      await openSource(path),
      { idPrefix: '' },
    );
    for (let change = 0; change < 6; change += 1) {
      members.push(await enter());
      await members.splice(random.int(members.length), 1)[0]?.stop();
    }
    expect(await producing).toMatchObject({ sent: 6_000, refused: 0, skipped: 0 });
    const isDone = async () =>
      (await broker.positions('rating.ingest', [incomingRatings.name])).every(
        ({ committed, end }) => (committed ?? 0n) >= end,
      );
    await until(isDone, 'the end of all partitions');
    await Promise.all(members.map((member) => member.stop()));
    await broker.part.stop();
    // The key is the movie, so that the lines of one movie stay in order on whatever partition.
    const last = new Map(lines.map(({ user, movie, value }) => [`${movie} ratings:${user}`, value]));
    const { rows } = await world.subgraph.pool.query<{ line: string }>(
      `SELECT movie_id || ' ' || viewer_id || ' ' || score AS line FROM rating WHERE score IS NOT NULL`,
    );
    expect(rows.map(({ line }) => line).toSorted()).toEqual(
      [...last].flatMap(([key, value]) => (value === null ? [] : [`${key} ${value}`])).toSorted(),
    );
    expect(await world.drift()).toEqual([]);
    const { rows: counts } = await world.subgraph.pool.query(
      'SELECT (SELECT count(*)::int FROM messaging.inbox) AS seen, (SELECT count(*)::int FROM messaging.dead_letter) AS dead',
    );
    expect(counts).toEqual([{ seen: 6_000, dead: 0 }]);
    await rm(folder, { recursive: true });
  });

  it('produce keys messages with the prefix of the service, not with that of its own shell', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'ingest-')), 'one.jsonl');
    await writeFile(path, JSON.stringify(externalEvent(1, 'seven', 5)));
    const { pool } = world.subgraph;
    const ingest = await openDeliveries(
      { subgraph: 'rating', pool },
      createIngest({ clock: systemClock }, { secret: testSubgraphKey, scale: 10, idPrefix: 'vega:' }),
    );
    await ingest.stop();
    const env = { DATABASE_URL_EVENTS: events.url, INGEST_ID_PREFIX: 'shell:' };
    expect(await runCommand(pool, produce, [path], env)).toMatchObject({ code: 0 });
    const log = testPool(events.url);
    const { rows } = await log.query(
      `SELECT convert_from(key, 'UTF8') AS key FROM messaging.message WHERE key LIKE '%seven'::bytea`,
    );
    await log.end();
    expect(rows).toEqual([{ key: 'vega:seven' }]);
  });
});
