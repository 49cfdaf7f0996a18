import type pg from 'pg';
import type { Logger } from '@cinegraph/service/logger';
import { createOutage } from '@cinegraph/service/outage';
import { pause } from '@cinegraph/service/timing';
import { lockNumber, withConnection, type PostgresStore } from './store.js';

/** The age at which a message may be removed, as a PostgreSQL interval. */
const keptFor = '7 days';
const chunkSize = 1_000;
const intervalMs = 600_000;

/**
 * Prepares the event database as soon as it is available, and then removes old messages about every ten
 * minutes. Retries with back-off while the database is unavailable. Resolves once the signal is aborted.
 */
export const startPruning = async (
  store: PostgresStore,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> => {
  const outage = createOutage(
    logger,
    'the event database is unavailable',
    'the event database is available again',
  );
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    try {
      const pruned = await store.use(() => pruneMessages(store.pool));
      outage.over();
      if (pruned > 0) logger.info({ pruned }, 'old messages removed');
      await pause(intervalMs * (0.5 + Math.random()), signal);
    } catch (error) {
      if (!stopped()) await pause(outage.failed(error), signal);
    }
  }
};

/**
 * Removes messages older than seven days, and returns how many. A compacted topic keeps the newest message of
 * each key, unless its value is null. Works in chunks, so that no lock is held for long. Returns 0 while
 * another process prunes.
 */
export const pruneMessages = (pool: pg.Pool): Promise<number> =>
  withConnection(pool, async (client) => {
    const lock = [lockNumber('prune')];
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', lock);
    if (rows[0]?.taken !== true) return 0;
    const pruned = await prunePartitions(client);
    await client.query('SELECT pg_advisory_unlock($1)', lock);
    return pruned;
  });

const prunePartitions = async (client: pg.PoolClient): Promise<number> => {
  const partitions = await client.query<{ topic: string; partition: number; keeps: string }>(
    'SELECT topic, partition, keeps FROM partition_end JOIN topic ON name = topic',
  );
  let pruned = 0;
  for (const { topic, partition, keeps } of partitions.rows) {
    let after: string | undefined = '-1';
    while (after !== undefined) {
      const chunk = await pruneChunk(client, [topic, partition, keeps, after, chunkSize, keptFor]);
      pruned += chunk?.pruned ?? 0;
      after = chunk?.old === chunkSize ? chunk.through : undefined;
    }
  }
  return pruned;
};

const pruneChunk = async (client: pg.PoolClient, values: readonly (string | number)[]) => {
  const { rows } = await client.query<{ old: number; through: string; pruned: number }>(pruneSql, [
    ...values,
  ]);
  return rows[0];
};

const pruneSql = `
  WITH chunk AS MATERIALIZED (
    SELECT "offset", state_key, value IS NULL AS gone, appended_at < now() - $6::interval AS old
    FROM message WHERE topic = $1 AND partition = $2 AND "offset" > $4 ORDER BY "offset" LIMIT $5
  ), pruned AS (
    -- An array, so that the planner looks each row up by the index even when the table has no statistics.
    DELETE FROM message
    WHERE topic = $1 AND partition = $2 AND "offset" = ANY (ARRAY (
      SELECT "offset" FROM chunk
      WHERE old AND ($3 <> 'states' OR state_key IS NULL OR gone OR EXISTS (
        SELECT FROM message AS newer
        WHERE newer.topic = $1 AND newer.partition = $2 AND newer.state_key = chunk.state_key
          AND newer."offset" > chunk."offset"))))
    RETURNING 1
  )
  SELECT count(*) FILTER (WHERE old)::integer AS old, max("offset") AS through,
    (SELECT count(*) FROM pruned)::integer AS pruned
  FROM chunk`;
