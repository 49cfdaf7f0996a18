import type pg from 'pg';
import { parkedPartition } from './table.js';

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
 * Makes parked events unpublished again, all or the named ones, wakes the relay, and returns their names.
 * They are published after newer events of their keys. Therefore the newest published event of each such key
 * is published again as well, if it is still in the outbox: a compacted topic then ends with the newest
 * state.
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

const isParked = `aside_at IS NOT NULL AND partition = ${parkedPartition}`;

const listSql = `
  SELECT CASE WHEN size > 1 THEN position || '.' || ordinal ELSE position::text END AS name, topic, key, type,
    octet_length(coalesce(value, convert_to(payload::text, 'UTF8'), '')) AS bytes, aside_at AS "parkedAt",
    count(*) OVER ()::int AS count
  FROM messaging.outbox_event WHERE ${isParked} ORDER BY position, ordinal LIMIT $1`;

/** Reads the row as it is at the update, because the relay may mark other events of it at the same time. */
const partitionsWithout = `ARRAY (
      SELECT CASE WHEN ordinal <> ALL (again.ordinals) THEN partition END
      FROM unnest(published_partitions) WITH ORDINALITY AS one (partition, ordinal) ORDER BY ordinal
    )`;

const resendSql = `
  WITH resent AS MATERIALIZED (
    SELECT position, ordinal, topic, key, type FROM messaging.outbox_event
    WHERE ${isParked} AND ($1::text[] IS NULL OR position || '.' || ordinal = ANY ($1))
  ), newest AS (
    SELECT DISTINCT ON (event.topic, event.key) event.position, event.ordinal
    FROM messaging.outbox_event AS event JOIN (
      SELECT topic, key, min(position) AS first FROM resent WHERE type IS NOT NULL GROUP BY topic, key
    ) AS late ON event.topic = late.topic AND event.key = late.key AND event.position > first
    WHERE event.partition >= 0 ORDER BY event.topic, event.key, event.position DESC, event.ordinal DESC
  ), again AS (
    SELECT position, array_agg(ordinal) AS ordinals FROM (
      SELECT position, ordinal FROM resent UNION ALL SELECT position, ordinal FROM newest
    ) AS all_of_them GROUP BY position
  ), updated AS (
    UPDATE messaging.outbox SET published_at = NULL, published_partitions = ${partitionsWithout},
      aside_at = CASE WHEN ${parkedPartition} = ANY (${partitionsWithout}) THEN aside_at END
    FROM again WHERE outbox.position = again.position
  )
  SELECT position || '.' || ordinal AS name, pg_notify('outbox', '') FROM resent`;
