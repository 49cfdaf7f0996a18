import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { expect } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { SentRating } from './messages.js';
import { differenceOf, storedTotals, totalsOf, type FaultWorld } from './world.js';
import { faultTimeoutMs } from './support.js';

/** Reads all messages of a topic, in order within each partition. */
export const readTopic = async (world: FaultWorld, topic: string): Promise<readonly IncomingMessage[]> => {
  const group = `reader.${randomUUID()}`;
  const messages: IncomingMessage[] = [];
  const reader = world.broker.subscribe({
    group,
    topics: [topic],
    onBatch: async (batch) => void messages.push(...batch),
  });
  await reader.start();
  try {
    await until(() => isThrough(world, group, topic), `${group} is at the end of ${topic}`, faultTimeoutMs);
  } finally {
    await reader.stop();
  }
  return messages;
};

/** Whether a group has committed every message of a topic. */
export const isThrough = async (world: FaultWorld, group: string, topic: string): Promise<boolean> =>
  (await world.broker.positions(group, [topic])).every(({ committed, end }) => (committed ?? 0n) === end);

/**
 * Compares ratings and aggregates with the source, of which the last rating of each viewer and movie counts.
 */
export const expectEffectOf = async (
  { pool }: Pick<FaultWorld, 'pool'>,
  source: readonly SentRating[],
): Promise<{ readonly lost: number; readonly double: number }> => {
  const expected = totalsOf(source);
  const stored = await storedTotals(pool);
  const difference = differenceOf(expected, stored);
  expect(difference).toEqual({ lost: 0, double: 0 });
  expect(sorted(stored)).toEqual(sorted(expected));
  const last = new Map(source.map((rating) => [`${rating.movieId} ${rating.viewerId}`, rating.score]));
  const { rows } = await pool.query<{ line: string }>(
    `SELECT movie_id || ' ' || viewer_id || ' ' || score AS line FROM rating WHERE score IS NOT NULL`,
  );
  expect(rows.map(({ line }) => line).sort()).toEqual(
    [...last].flatMap(([key, score]) => (score === null ? [] : [`${key} ${score}`])).sort(),
  );
  return difference;
};

const sorted = <Value>(map: ReadonlyMap<string, Value>) => Object.fromEntries([...map].sort());

/** Returns ratings and aggregates as text, without timestamps and the aggregates' versions. */
export const tablesOf = async ({ pool }: Pick<FaultWorld, 'pool'>): Promise<string> => {
  const { rows } = await pool.query<{ row: string }>(
    `SELECT (to_jsonb(rating) - ARRAY['created_at', 'updated_at'])::text AS row FROM rating
     UNION ALL SELECT (to_jsonb(aggregated_rating) - 'version')::text FROM aggregated_rating
     ORDER BY 1`,
  );
  return rows.map(({ row }) => row).join('\n');
};

/** Empties the tables of ratings and aggregates. Inbox and committed offsets are kept. */
export const clearRatings = async ({ pool }: Pick<FaultWorld, 'pool'>): Promise<void> => {
  await pool.query('TRUNCATE rating, aggregated_rating, known_movie, dead_letter');
};

/** Runs `work` while a lock keeps a batch in the middle of its transaction. */
export const amidBatch = async (pool: FaultWorld['pool'], work: () => Promise<unknown>): Promise<void> => {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE aggregated_rating IN SHARE MODE');
    await until(
      async () => {
        // Within the transaction the view would not change after its first read.
        const { rowCount } = await pool.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rowCount !== 0;
      },
      'a batch waits for the lock',
      faultTimeoutMs,
    );
    await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
};
