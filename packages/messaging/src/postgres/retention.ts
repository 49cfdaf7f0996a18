import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '@cinegraph/service/logger';
import { lockNumber, withConnection, type LogStore } from './store.js';

/** How old a message is when it may go, as PostgreSQL reads it. */
const keptFor = '7 days';
const chunkSize = 1_000;
const pauseMs = 600_000;

/**
 * Prepares the log as soon as it can be reached, and from then on prunes it about every ten minutes, until the signal.
 * Resolves then; a log that is away is tried again.
 */
export const startPruning = async (store: LogStore, logger: Logger, signal: AbortSignal): Promise<void> => {
  let backOffMs = 100;
  let told = false;
  while (!signal.aborted) {
    let waitMs = pauseMs;
    try {
      const pruned = await store.use(() => pruneLog(store.pool));
      if (pruned > 0) logger.info({ pruned }, 'old messages of the log removed');
      backOffMs = 100;
      told = false;
    } catch (error) {
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- it may have been aborted meanwhile
      if (signal.aborted) return;
      // Once an outage.
      if (!told) logger.warn({ err: error }, 'the log is away');
      told = true;
      waitMs = backOffMs;
      backOffMs = Math.min(backOffMs * 2, 10_000);
    }
    await delay(waitMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
  }
};

/**
 * Removes messages older than seven days, of states only those that are not the newest of their key (or say that it is
 * gone), a thousand at a time, so that nobody waits. Answers how many; none while another one prunes.
 */
export const pruneLog = (pool: pg.Pool): Promise<number> =>
  withConnection(pool, async (client) => {
    const lock = [lockNumber('prune')];
    const { rows } = await client.query<{ had: boolean }>('SELECT pg_try_advisory_lock($1) AS had', lock);
    if (rows[0]?.had !== true) return 0;
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
    let behind: string | undefined = '-1';
    while (behind !== undefined) {
      const chunk = await pruneChunk(client, [topic, partition, keeps, behind, chunkSize, keptFor]);
      pruned += chunk?.pruned ?? 0;
      behind = chunk?.old === chunkSize ? chunk.through : undefined;
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
    -- An array, so that each is looked up once, whatever the planner thinks of a table without statistics.
    DELETE FROM message
    WHERE topic = $1 AND partition = $2 AND "offset" = ANY (ARRAY (
      SELECT "offset" FROM chunk
      WHERE old AND ($3 = 'happenings' OR state_key IS NULL OR gone OR EXISTS (
        SELECT FROM message AS newer
        WHERE newer.topic = $1 AND newer.partition = $2 AND newer.state_key = chunk.state_key
          AND newer."offset" > chunk."offset"))))
    RETURNING 1
  )
  SELECT count(*) FILTER (WHERE old)::integer AS old, max("offset") AS through,
    (SELECT count(*) FROM pruned)::integer AS pruned
  FROM chunk`;
