import type pg from 'pg';

/** An entry that the broker said it would never take, such as one too large for its topic. */
export interface AsideEntry {
  /** A bigint as text. */
  readonly position: string;
  readonly topic: string;
  readonly key: string | null;
  /** Null: a message that was to go out as it is. */
  readonly type: string | null;
  /** Of what it tells, without the envelope. */
  readonly bytes: number;
  readonly asideAt: Date;
}

/** How many entries of a database's outbox were put aside, and the first `limit` of them in order of position. */
export const listAside = async (
  pool: pg.Pool,
  limit: number,
): Promise<{ readonly count: number; readonly entries: readonly AsideEntry[] }> => {
  const { rows } = await pool.query<AsideEntry & { count: number }>(listSql, [limit]);
  return { count: rows[0]?.count ?? 0, entries: rows };
};

/**
 * Makes entries that were put aside unpublished again, all of them or those at `positions`, and wakes the relay; answers
 * which. They go out behind newer ones of their keys, so the newest that was published of each such key goes out once more
 * behind them, as far as it is still in the outbox: what a topic of states keeps in the end is the newest state.
 */
export const resendAside = async (
  pool: pg.Pool,
  positions: readonly string[] | 'all',
): Promise<ReadonlySet<string>> => {
  const { rows } = await pool.query<{ position: string }>(resendSql, [
    positions === 'all' ? null : positions,
  ]);
  return new Set(rows.map(({ position }) => position));
};

/** As the index of what is unpublished has it. */
const aside = 'published_offset IS NULL AND published_at IS NOT NULL';

const listSql = `
  SELECT position, topic, key, type, octet_length(coalesce(value, convert_to(payload::text, 'UTF8'), '')) AS bytes,
    published_at AS "asideAt", count(*) OVER ()::int AS count
  FROM outbox WHERE ${aside} ORDER BY position LIMIT $1`;

const resendSql = `
  WITH resent AS (
    UPDATE outbox SET published_at = NULL
    WHERE ${aside} AND ($1::bigint[] IS NULL OR position = ANY ($1))
    RETURNING position, topic, key, type
  ), newest AS (
    SELECT max(outbox.position) AS position
    FROM outbox JOIN (SELECT topic, key, min(position) AS first FROM resent WHERE type IS NOT NULL GROUP BY 1, 2) AS late
      ON outbox.topic = late.topic AND outbox.key = late.key AND position > first
    WHERE published_offset IS NOT NULL GROUP BY outbox.topic, outbox.key
  ), again AS (
    UPDATE outbox SET published_at = NULL, published_partition = NULL, published_offset = NULL
    WHERE position IN (SELECT position FROM newest)
  )
  SELECT position, pg_notify('outbox', '') FROM resent`;
