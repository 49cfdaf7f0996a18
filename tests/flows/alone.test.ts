import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { askGraphQL, testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { rating } from '@cinegraph/rating/subgraph';
import { until } from '@cinegraph/testing/until';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import { know } from '../support/known-movies.js';
import { runService, type ServiceProcess } from '../support/service-process.js';

let database: TestDatabase;
let events: TestDatabase;
let pool: ReturnType<typeof testPool>;
const running: ServiceProcess[] = [];
beforeAll(async () => {
  database = await testDatabase({ name: rating.name, migrations: rating.migrations });
  events = await testDatabase({
    name: 'events',
    migrations: [brokerMigrations],
  });
  pool = testPool(database.url);
});
afterAll(async () => {
  for (const { signal } of running) signal('SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
  await pool.end();
  await database.drop();
  await events.drop();
});

const run = (env: Readonly<Record<string, string>> = {}) => {
  const service = runService('subgraphs/rating', {
    SUBGRAPH_KEY: testSubgraphKey,
    DATABASE_URL_RATING: database.url,
    DATABASE_URL_EVENTS: events.url,
    ...env,
  });
  running.push(service);
  return service;
};

const sign = createIdentitySigner(testSubgraphKey, 'rating', systemClock);

const submit = (url: string, viewer: string, movieId: string, score: number, key: string) =>
  askGraphQL(
    `${url}/graphql`,
    {
      query: `mutation ($movieId: ID!, $score: Score!, $key: String) {
        submitRating(movieId: $movieId, score: $score, idempotencyKey: $key) { rating { score updatedAt } }
      }`,
      variables: { movieId, score, key },
    },
    { [identityHeader]: sign({ id: viewer, scopes: [] }) },
  );

describe('a subgraph started alone from its build', () => {
  it('a subgraph without its variables names all of them in one message, and exits with 1', async () => {
    const unset = { SUBGRAPH_KEY: '', DATABASE_URL_RATING: '', DATABASE_URL_EVENTS: '' };
    const { code, stdout, stderr } = await run({ ...unset, PORT: 'x' }).ended;
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /PORT: must be a port[^]*SUBGRAPH_KEY: is not set[^]*DATABASE_URL_RATING: is not set/,
    );
    expect(stderr).toMatch(/DATABASE_URL_EVENTS: is not set, but needed where KAFKA_BROKERS is not set/);
    expect(stderr).not.toMatch(/^ {4}at /m);
  });

  it('a subgraph that cannot reach its database says so in one sentence, without the password', async () => {
    const { code, stderr } = await run({ DATABASE_URL_RATING: 'postgresql://u:hunter2@127.0.0.1:1/rating' })
      .ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/database of rating/i);
    expect(stderr).not.toMatch(/hunter2|^ {4}at /m);
  });

  it('a subgraph without NODE_ENV is in production: it serves only signed requests, and exits with 0 on SIGTERM', async () => {
    const service = run();
    const url = await service.url;
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect((await askGraphQL(`${url}/graphql`, { query: '{ __typename }' })).status).toBe(401);
    await know(pool, ['alone']);
    expect((await submit(url, 'ann', 'alone', 8, 'alone')).errors).toBeUndefined();
    service.signal('SIGTERM');
    service.signal('SIGTERM');
    expect((await service.ended).code).toBe(0);
  });

  it('a subgraph starts, is ready and stops while the broker is unavailable, and its health reports that', async () => {
    const service = run({ DATABASE_URL_EVENTS: 'postgresql://u:p@127.0.0.1:1/events' });
    const ready = await fetch(`${await service.url}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ checks: { database: 'answers', broker: 'unavailable' } });
    service.signal('SIGTERM');
    expect((await service.ended).code).toBe(0);
  });

  it('two replicas of a subgraph start at once on an empty database', async () => {
    await pool.query('DROP SCHEMA public, messaging CASCADE; CREATE SCHEMA public');
    const log = testPool(events.url);
    await log.query('DROP SCHEMA public, messaging CASCADE; CREATE SCHEMA public');
    await log.end();
    const replicas = [run(), run()];
    const urls = await Promise.all(replicas.map(({ url }) => url));
    for (const url of urls) {
      expect((await fetch(`${url}/health/ready`)).status).toBe(200);
      await until(async () =>
        (await (await fetch(`${url}/health/ready`)).text()).includes('"broker":"answers"'),
      );
    }
    for (const { signal } of replicas) signal('SIGTERM');
    for (const { ended } of replicas) expect((await ended).code).toBe(0);
  });

  it('a killed subgraph loses no acknowledged rating, and doubles none that is sent again under its key', async () => {
    let service = run();
    let url = await service.url;
    const votes = Array.from({ length: 300 }, (_, n) => ({
      viewer: `v${n % 100}`,
      movie: `killed ${n % 7}`,
      score: (n % 10) + 1,
      key: `k${n}`,
    }));
    await know(
      pool,
      votes.map(({ movie }) => movie),
    );
    const answered = new Map<string, unknown>();
    for (let round = 0; answered.size < votes.length; round += 1) {
      if (round > 20) throw new Error(`only ${answered.size} of ${votes.length} were answered`);
      const open = votes.filter(({ key }) => !answered.has(key));
      let countdown = Math.min(60, open.length);
      await Promise.all(
        open.map(async ({ viewer, movie, score, key }) => {
          const answer = await submit(url, viewer, movie, score, key).catch(() => undefined);
          if (answer?.data?.['submitRating']) answered.set(key, answer.data);
          if (round < 3 && (countdown -= 1) === 0) service.signal('SIGKILL');
        }),
      );
      if (round < 3) {
        // A batch may have answered all of them before the kill; the kill then comes now.
        service.signal('SIGKILL');
        await service.ended;
        service = run();
        url = await service.url;
      }
    }
    for (const { viewer, movie, score, key } of votes) {
      const again = await submit(url, viewer, movie, score, key);
      expect(again.data).toEqual(answered.get(key));
    }
    const { rows } = await pool.query<{
      sum: string;
      count: string;
      ratings: string;
      total: string;
      writes: string;
    }>(
      `SELECT sum(a.sum) AS sum, sum(a.count) AS count, (SELECT count(*) FROM rating) AS ratings,
         (SELECT sum(score) FROM rating) AS total, (SELECT sum(version) FROM rating) AS writes
       FROM aggregated_rating a WHERE a.movie_id LIKE 'killed %'`,
    );
    const pairs = new Set(votes.map(({ viewer, movie }) => `${viewer} ${movie}`));
    expect(rows[0]).toMatchObject({
      count: String(pairs.size),
      ratings: String(pairs.size),
      writes: String(votes.length),
    });
    expect(rows[0]?.sum).toBe(rows[0]?.total);
    service.signal('SIGTERM');
    expect((await service.ended).code).toBe(0);
  });
});
