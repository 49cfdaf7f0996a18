import type pg from 'pg';

/** An event that the broker rejected for good, for example because it is too large for its topic. */
export interface ParkedEntry {
  /** Its position and, if it is one of several in a bundle, a dot and its number in the bundle. */
  readonly name: string;
  readonly topic: string;
  readonly key: string | null;
  /** Null for a message that is published unchanged. */
  readonly type: string | null;
  /** The size of the payload without the envelope. */
  readonly bytes: number;
  readonly parkedAt: Date;
}

/** The pattern of the names of parked events. */
export const parkedName = /^\d{1,18}(\.\d{1,3})?$/;

/** Counts the parked events of a database, and returns the first `limit` of them in order of position. */
export const listParked = async (
  pool: pg.Pool,
  limit: number,
): Promise<{ readonly count: number; readonly entries: readonly ParkedEntry[] }> => {
  const { rows } = await pool.query<ParkedEntry & { count: number }>(listSql, [limit]);
  return { count: rows[0]?.count ?? 0, entries: rows };
};

/**
 * Appends parked events to the outbox, all or the named ones, which wakes the relay, and returns their names.
 * They are published after newer events of their keys. Therefore the newest event of each such key is
 * published again as well, if it is still in the outbox: a compacted topic then ends with the newest state.
 * An event that is rejected again is parked again under the same name.
 */
export const resendParked = async (
  pool: pg.Pool,
  names: readonly string[] | 'all',
): Promise<ReadonlySet<string>> => {
  const requested = new Map((names === 'all' ? [] : names).map((name) => [normalize(name), name]));
  const { rows } = await pool.query<{ name: string }>(resendSql, [
    names === 'all' ? null : [...requested.keys()],
  ]);
  return new Set(rows.map(({ name }) => requested.get(name) ?? name));
};

/** Returns a name with its number in the bundle, 1 by default, and without leading zeros. */
const normalize = (name: string): string => {
  const [position, number] = name.split('.');
  return `${BigInt(position ?? 0)}.${Number(number ?? 1)}`;
};

const listSql = `
  SELECT concat_ws('.', position, ordinal) AS name, topic, key, type,
    octet_length(coalesce(value, convert_to(payload::text, 'UTF8'), '')) AS bytes, parked_at AS "parkedAt",
    count(*) OVER ()::int AS count
  FROM messaging.outbox_parked WHERE resent_as IS NULL ORDER BY position, ordinal LIMIT $1`;

const columns = 'event_id, type, version, topic, key, payload, value, headers, trace, created_at' as const;

/**
 * Appends copies to the outbox, with the ids of their events, because the rest of a bundle must not be
 * published again. The copy of a parked event is not the newest event of its key, although it is the last.
 */
const resendSql = `
  WITH resent AS (
    SELECT position, ordinal, ${columns} FROM messaging.outbox_parked
    WHERE resent_as IS NULL AND ($1::text[] IS NULL OR position || '.' || coalesce(ordinal, 1) = ANY ($1))
    FOR UPDATE
  ), newest AS (
    SELECT DISTINCT ON (topic, key) event.position, event.ordinal, ${columns}
    FROM messaging.outbox_event AS event JOIN (
      SELECT topic, key, min(position) AS first FROM resent WHERE type IS NOT NULL GROUP BY topic, key
    ) AS late USING (topic, key)
    WHERE event.position > first
      AND NOT EXISTS (SELECT FROM messaging.outbox_parked WHERE resent_as = event.position)
    ORDER BY topic, key, event.position DESC, event.ordinal DESC
  ), appended AS (
    INSERT INTO messaging.outbox (${columns})
    SELECT ${columns} FROM (
      SELECT 1 AS step, * FROM resent UNION ALL SELECT 2, * FROM newest
    ) AS copies ORDER BY step, position, ordinal
    RETURNING event_id, position
  ), updated AS (
    UPDATE messaging.outbox_parked SET resent_as = appended.position
    FROM appended WHERE outbox_parked.event_id = appended.event_id
  )
  SELECT position || '.' || coalesce(ordinal, 1) AS name FROM resent`;
