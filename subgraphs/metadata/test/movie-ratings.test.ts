import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventOf } from '@cinegraph/events/event';
import { aggregatedRatingChanged } from '@cinegraph/events/rating';
import { aggregatedRatings } from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { listDeadLetters } from '@cinegraph/messaging/consumer/dead-letters';
import { createEnvelopeSigner, encodeEnvelope, producerKey } from '@cinegraph/messaging/envelope';
import { inTransaction } from '@cinegraph/database/transaction';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { seededRandom } from '@cinegraph/testing/seed';
import { startTestSubgraph, testSubgraphKey, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { createMovieRatings } from '../src/consumers/movie-ratings.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
let consumer: Deliveries;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
});
afterAll(() => subgraph.stop());
beforeEach(async () => {
  await subgraph.pool.query('TRUNCATE movie_rating, movie CASCADE');
  await subgraph.pool.query('TRUNCATE messaging.inbox, messaging.dead_letter');
  consumer = await openDeliveries(
    { subgraph: 'metadata', pool: subgraph.pool },
    createMovieRatings({ secret: testSubgraphKey }),
  );
});
afterEach(() => consumer.stop());

let offset = 0n;
/** Returns an event of rating as the broker delivers it. */
const changed = (
  movieId: string,
  [version, sum, count]: readonly [number, number, number],
  more: { producer?: string; signer?: string } = {},
): IncomingMessage => {
  const { producer = 'rating', signer = producer } = more;
  const histogram = Array.from({ length: 10 }, () => 0);
  const { type, data, ...event } = eventOf(aggregatedRatingChanged, movieId, {
    ...{ movieId, version, sum, count, histogram },
  });
  const value = encodeEnvelope({
    ...{ id: randomUUID(), type, version: event.version, key: movieId, data, producer, trace: undefined },
    occurredAt: '2026-01-01T00:00:00Z',
  });
  const headers = createEnvelopeSigner(producerKey(testSubgraphKey, signer))(aggregatedRatings.name, value);
  offset += 1n;
  return {
    ...{ topic: aggregatedRatings.name, partition: 0, offset, appendedAt: new Date(0), value },
    key: Buffer.from(movieId),
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  };
};

const addMovies = (...ids: readonly string[]) =>
  subgraph.pool.query(
    `INSERT INTO movie (id, title, created_at, updated_at) SELECT id, id, now(), now() FROM unnest($1::text[]) AS new (id)`,
    [ids],
  );

const best = async () => {
  const { data, errors } = await subgraph.ask('{ movies(sort: WEIGHTED_SCORE_DESC) { nodes { id } } }');
  expect(errors).toBeUndefined();
  return (data?.['movies'] as { nodes: { id: string }[] }).nodes.map(({ id }) => id);
};

describe("the copy of rating's aggregates", () => {
  it('movies are in the order of the newest aggregates, in whatever order and however often events arrive', async () => {
    await addMovies('a', 'b', 'c', 'unrated');
    const random = seededRandom('ratings');
    const log = [
      ...[changed('a', [1, 10, 1]), changed('a', [2, 11, 2]), changed('b', [4, 900, 100])],
      ...[changed('b', [9, 100, 100]), changed('c', [1, 8, 1])],
    ];
    for (let round = 0; round < 10; round += 1) {
      await subgraph.pool.query('UPDATE movie_rating SET version = 0, sum = 0, count = 0');
      await subgraph.pool.query('TRUNCATE messaging.inbox');
      const disorder = random.shuffled([...log, ...log]);
      const half = random.int(disorder.length);
      await consumer.deliver(disorder.slice(0, half));
      await consumer.deliver(disorder.slice(half));
      expect(await best()).toEqual(['c', 'a', 'b', 'unrated']);
    }
  });

  it('an aggregate that arrives before its movie is kept until the movie comes', async () => {
    await addMovies('a');
    await consumer.deliver([changed('early', [3, 90, 10])]);
    expect(await best()).toEqual(['a']);
    await addMovies('early');
    expect(await best()).toEqual(['early', 'a']);
  });

  it('an aggregate of another producer, or with a forged signature, becomes a dead letter', async () => {
    await addMovies('a', 'b');
    await consumer.deliver([
      changed('a', [1, 10, 1], { producer: 'cinema' }),
      changed('a', [1, 10, 1], { signer: 'cinema' }),
      changed('b', [1, 10, 1]),
    ]);
    expect(await best()).toEqual(['b', 'a']);
    const letters = await inTransaction(subgraph.pool, (tx) => listDeadLetters(tx, { limit: 10 }));
    expect(letters.map(({ code }) => code)).toEqual(['FORGED_EVENT', 'FORGED_EVENT']);
  });
});
