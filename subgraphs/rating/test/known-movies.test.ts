import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventOf } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted } from '@cinegraph/events/metadata';
import { movies } from '@cinegraph/events/topics';
import { systemClock } from '@cinegraph/service/clock';
import { listDeadLetters } from '@cinegraph/messaging/consumer/dead-letters';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { seededRandom } from '@cinegraph/testing/seed';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { inTransaction } from '@cinegraph/database/transaction';
import { createIngest } from '../src/consumers/ratings-topic.js';
import { createKnownMovies } from '../src/consumers/known-movies.js';
import { externalEvent, signed, testLog } from './messages.js';
import { ratingWorld, requestStatements } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
let consumer: Deliveries;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());
beforeEach(async () => {
  const { pool } = world.subgraph;
  await world.clear(['messaging.inbox', 'messaging.dead_letter', 'messaging.outbox']);
  consumer = await openDeliveries(
    { subgraph: 'rating', pool },
    createKnownMovies({ secret: testSubgraphKey }),
  );
});
afterEach(() => consumer.stop());

const append = testLog(movies.name);

/** Appends an event to metadata's topic, by default signed by metadata. */
const appended = (event: object, more: { producer?: string; signer?: string } = {}) => {
  const { producer = 'metadata', ...signer } = more;
  const envelope = { id: randomUUID(), occurredAt: '2026-01-01T00:00:00Z', producer, ...event };
  return append(...signed(envelope, { ...signer, topic: movies.name }));
};

const created = (movieId: string, version = 1) =>
  eventOf(movieCreated, movieId, { movieId, version, title: 'T', releaseYear: null });
const changed = (movieId: string, version: number) =>
  eventOf(movieChanged, movieId, { movieId, version, title: 'T', releaseYear: 1999 });
const deleted = (movieId: string, version: number) => eventOf(movieDeleted, movieId, { movieId, version });

const known = async () =>
  (
    await world.subgraph.pool.query<{ line: string }>(
      `SELECT id || ' ' || version || CASE WHEN deleted THEN ' deleted' ELSE '' END AS line FROM known_movie ORDER BY 1`,
    )
  ).rows.map(({ line }) => line);

const topRated = async () => {
  const { data, errors } = await world.subgraph.ask('{ topRated(first: 3) { nodes { id } } }');
  if (errors) throw new Error(JSON.stringify(errors));
  return (data as { topRated: { nodes: { id: string }[] } }).topRated.nodes.map(({ id }) => id);
};

describe('what metadata says of movies', () => {
  it('the newest state of a movie is stored, in whatever order and however often events arrive', async () => {
    const random = seededRandom('movies');
    const log = [
      ...[created('a'), changed('a', 2), changed('a', 3)],
      ...[created('b'), deleted('b', 2)],
      ...[deleted('c', 4), created('d', 7)],
    ].map((event) => appended(event));
    for (let round = 0; round < 10; round += 1) {
      await world.clear(['messaging.inbox']);
      const disorder = random.shuffled([...log, ...log]);
      const half = random.int(disorder.length);
      await consumer.deliver(disorder.slice(0, half));
      await consumer.deliver(disorder.slice(half));
      expect(await known()).toEqual(['a 3', 'b 2 deleted', 'c 4 deleted', 'd 7']);
    }
  });

  it('states of movies are accepted only from metadata, and unknown event types are skipped', async () => {
    await consumer.deliver([
      appended(deleted('a', 9), { producer: 'cinema' }),
      appended(deleted('a', 9), { signer: 'cinema' }),
      appended({ ...deleted('a', 9), type: 'MoviePainted' }),
      appended({ ...deleted('a', 9), version: 7 }),
      append(null),
      append('{'),
      appended({ ...deleted('a', 9), data: { movieId: 'a' } }),
      appended(created('b')),
    ]);
    expect(await known()).toEqual(['b 1']);
    const letters = await inTransaction(world.subgraph.pool, (tx) => listDeadLetters(tx, { limit: 10 }));
    expect(letters.map(({ code }) => code).toReversed()).toEqual([
      ...['FORGED_EVENT', 'FORGED_EVENT'],
      // From a newer metadata: the event would be lost if it were skipped.
      'UNKNOWN_EVENT',
      ...['NOT_AN_EVENT', 'INVALID_EVENT'],
    ]);
  });

  it('a movie may become known after its ratings, which show from then on', async () => {
    const ingest = await openDeliveries(
      { subgraph: 'rating', pool: world.subgraph.pool },
      createIngest({ clock: systemClock }, { secret: testSubgraphKey, scale: 10, idPrefix: '' }),
    );
    const log = testLog();
    await ingest.deliver([log(externalEvent(1, 'late', 8)), log(externalEvent(2, 'late', 6))]);
    expect(await world.unknown()).toEqual({ movies: 1, ratings: 2 });
    expect(await world.aggregateOf('late')).toMatchObject({ count: 0, average: null });
    await consumer.deliver([appended(created('late'))]);
    expect(await world.unknown()).toEqual({ movies: 0, ratings: 0 });
    expect(await world.aggregateOf('late')).toMatchObject({ count: 2, average: 7 });
    await ingest.stop();
  });

  it('a deleted movie is not among the top rated, which are still read by an index scan', async () => {
    const { pool } = world.subgraph;
    await pool.query(`
      INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s8)
      SELECT 'm' || lpad(n::text, 5, '0'), 'known', 8 * n, n, n FROM generate_series(1, 30000) AS n`);
    await pool.query(`INSERT INTO known_movie (id, version) SELECT movie_id, 1 FROM aggregated_rating`);
    await pool.query('ANALYZE aggregated_rating, known_movie');
    expect(await topRated()).toEqual(['m30000', 'm29999', 'm29998']);
    await consumer.deliver([appended(deleted('m29999', 2)), appended(deleted('m30000', 2))]);
    expect(await topRated()).toEqual(['m29998', 'm29997', 'm29996']);
    const [statement = ''] = await requestStatements(topRated);
    const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) ${statement}`,
      [50],
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(
      /Index Scan using aggregated_rating_top|Index Only Scan using aggregated_rating_top/,
    );
    expect(plan).not.toMatch(/Seq Scan|Sort/);
    expect(Number(/Buffers: shared hit=(\d+)/.exec(plan)?.[1])).toBeLessThan(300);
  });
});
