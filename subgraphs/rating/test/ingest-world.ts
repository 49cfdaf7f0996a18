import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { inTransaction } from '@cinegraph/database/transaction';
import { findOpenDeadLetters, listDeadLetters } from '@cinegraph/messaging/consumer/dead-letters';
import { replayDeadLetter } from '@cinegraph/messaging/consumer/replay';
import { systemClock } from '@cinegraph/service/clock';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createIngest, type IngestSettings } from '../src/consumers/ratings-topic.js';
import { ratingWorld } from './world.js';

const settings: IngestSettings = { secret: testSubgraphKey, scale: 10, idPrefix: 'vega:' };

export const ingestWith = (more: Partial<IngestSettings> = {}) =>
  createIngest({ clock: systemClock }, { ...settings, ...more });

/**
 * A subgraph for the tests of one file, and the consumer of `ratings` on it. Tables are empty before each
 * test.
 */
export interface IngestWorld {
  readonly world: Awaited<ReturnType<typeof ratingWorld>>;
  readonly ingest: Deliveries;
}

/** Starts and stops an ingest world with the tests of this file, and returns a function that gets it. */
export const useIngestWorld = (): (() => IngestWorld) => {
  let world: IngestWorld['world'];
  let ingest: Deliveries;
  beforeAll(async () => {
    world = await ratingWorld();
  });
  afterAll(() => world.subgraph.stop());
  beforeEach(async () => {
    await world.clear(['messaging.inbox', 'messaging.dead_letter', 'messaging.outbox']);
    ingest = await openDeliveries({ subgraph: 'rating', pool: world.subgraph.pool }, ingestWith());
  });
  afterEach(() => ingest.stop());
  return () => ({ world, ingest });
};

/** Returns the dead letters, newest first. */
export const lettersIn = ({ world }: IngestWorld) =>
  inTransaction(world.subgraph.pool, (tx) => listDeadLetters(tx, { limit: 10_000 }));

/** Returns the codes of the dead letters, oldest first. */
export const codesIn = async (at: IngestWorld) => (await lettersIn(at)).map(({ code }) => code).toReversed();

/** Returns every rating that is not retracted, as `movie viewer score`. */
export const ratingsIn = async ({ world }: IngestWorld) =>
  (
    await world.subgraph.pool.query<{ line: string }>(
      `SELECT movie_id || ' ' || viewer_id || ' ' || score AS line FROM rating WHERE score IS NOT NULL ORDER BY 1`,
    )
  ).rows.map(({ line }) => line);

/** Replays all open dead letters, and returns their outcomes. */
export const replayAll = async ({ world }: IngestWorld) => {
  const { pool } = world.subgraph;
  const open = await inTransaction(pool, async (tx) => findOpenDeadLetters(tx, { all: true }));
  const outcomes = [];
  for (const { id } of open)
    outcomes.push(await replayDeadLetter({ pool, logger: silentLogger }, ingestWith(), id));
  return outcomes.map(({ outcome }) => outcome);
};
