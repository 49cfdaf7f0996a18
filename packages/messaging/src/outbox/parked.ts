import type pg from 'pg';
import { standsAside } from './table.js';

/** An entry that the broker said it would never take, such as one larger than its topic takes. */
export interface ParkedEntry {
  /** By which it is named: its position, and behind a dot its place in a bundle of several. */
  readonly name: string;
  readonly topic: string;
  readonly key: string | null;
  /** Null: a message that was to go out as it is. */
  readonly type: string | null;
  /** Of what it tells, without the envelope. */
  readonly bytes: number;
  readonly asideAt: Date;
}

/** How the name of an entry looks. */
export const parkedName = /^\d{1,18}(\.\d{1,3})?$/;

/** How many entries of a database's outbox were put aside, and the first `limit` of them in order of position. */
export const listParked = async (
  pool: pg.Pool,
  limit: number,
): Promise<{ readonly count: number; readonly entries: readonly ParkedEntry[] }> => {
  const { rows } = await pool.query<ParkedEntry & { count: number }>(listSql, [limit]);
  return { count: rows[0]?.count ?? 0, entries: rows };
};

/**
 * Makes entries that were put aside unpublished again, all of them or those of these names, and wakes the relay; answers
 * which. They go out behind newer ones of their keys, so the newest that was published of each such key goes out once more
 * behind them, as far as it is still in the outbox: what a topic of states keeps in the end is the newest state.
 */
export const resendParked = async (
  pool: pg.Pool,
  names: readonly string[] | 'all',
): Promise<ReadonlySet<string>> => {
  const given = new Map((names === 'all' ? [] : names).map((name) => [placeOf(name), name]));
  const { rows } = await pool.query<{ place: string }>(resendSql, [
    names === 'all' ? null : [...given.keys()],
  ]);
  return new Set(rows.map(({ place }) => given.get(place) ?? place));
};

/** A name with its place, which is the first unless told; zeros before a number are none of it. */
const placeOf = (name: string): string => {
  const [position, place] = name.split('.');
  return `${BigInt(position ?? 0)}.${Number(place ?? 1)}`;
};

const aside = `aside_at IS NOT NULL AND partition = ${standsAside}`;

const listSql = `
  SELECT CASE WHEN size > 1 THEN position || '.' || place ELSE position::text END AS name, topic, key, type,
    octet_length(coalesce(value, convert_to(payload::text, 'UTF8'), '')) AS bytes, aside_at AS "asideAt",
    count(*) OVER ()::int AS count
  FROM messaging.outbox_event WHERE ${aside} ORDER BY position, place LIMIT $1`;

/** Of the row as it stands: the relay may be marking others of it meanwhile. */
const partitionsWithout = `ARRAY (
      SELECT CASE WHEN place <> ALL (again.places) THEN partition END
      FROM unnest(published_partitions) WITH ORDINALITY AS one (partition, place) ORDER BY place
    )`;

const resendSql = `
  WITH resent AS MATERIALIZED (
    SELECT position, place, topic, key, type FROM messaging.outbox_event
    WHERE ${aside} AND ($1::text[] IS NULL OR position || '.' || place = ANY ($1))
  ), newest AS (
    SELECT DISTINCT ON (event.topic, event.key) event.position, event.place
    FROM messaging.outbox_event AS event JOIN (
      SELECT topic, key, min(position) AS first FROM resent WHERE type IS NOT NULL GROUP BY topic, key
    ) AS late ON event.topic = late.topic AND event.key = late.key AND event.position > first
    WHERE event.partition >= 0 ORDER BY event.topic, event.key, event.position DESC, event.place DESC
  ), again AS (
    SELECT position, array_agg(place) AS places FROM (
      SELECT position, place FROM resent UNION ALL SELECT position, place FROM newest
    ) AS all_of_them GROUP BY position
  ), updated AS (
    UPDATE messaging.outbox SET published_at = NULL, published_partitions = ${partitionsWithout},
      aside_at = CASE WHEN ${standsAside} = ANY (${partitionsWithout}) THEN aside_at END
    FROM again WHERE outbox.position = again.position
  )
  SELECT position || '.' || place AS place, pg_notify('outbox', '') FROM resent`;
