import type pg from 'pg';
import type { KnownEnd } from './log-loss.js';

/** A row of the table `outbox` that is not published, or not all of it: one event, a bundle of them, or a copy. */
export interface OutboxRow {
  /** A bigint as text. */
  readonly position: string;
  /** Of its first event; {@link eventIdAt} has those of the others. */
  readonly event_id: string;
  /** Null: a copy, which goes out as it is. */
  readonly type: string | null;
  readonly version: number;
  readonly topic: string;
  readonly key: string | null;
  readonly payload: unknown;
  readonly events: readonly BundledEvent[] | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly trace: string | null;
  readonly created_at: Date;
  /** Of each of its events: its partition, {@link standsAside}, or null while it waits; null: all wait. */
  readonly published_partitions: readonly (number | null)[] | null;
}

interface BundledEvent {
  readonly key: string;
  readonly trace: string | null;
  readonly data: unknown;
}

/** What is published as one message: an event of a row, or a row that is a copy. */
export interface OutboxEntry {
  readonly row: OutboxRow;
  /** Its place among the events of the row, from 0. */
  readonly at: number;
  readonly key: string | null;
  readonly trace: string | null;
  readonly data: unknown;
}

/** At most so many entries and bytes are published at a time; one entry in any case. */
export const batchLimits = { entries: 2_000, bytes: 1_000_000 } as const;

/** In the place of the partition of an entry that was put aside. */
export const standsAside = -1;

/** The entries of a row that wait, in order. */
export const waitingIn = (row: OutboxRow): readonly OutboxEntry[] => {
  const { key, trace, payload, published_partitions: partitions } = row;
  const all = row.events ?? [{ key, trace, data: payload }];
  const waiting: OutboxEntry[] = [];
  for (const [at, event] of all.entries()) {
    if ((partitions?.[at] ?? null) === null) {
      waiting.push({ row, at, key: event.key, trace: event.trace, data: event.data });
    }
  }
  return waiting;
};

/** The id of an event of a row, the same each time: that of the row plus its place, in the last 16 bits. */
export const eventIdAt = ({ event_id: id }: OutboxRow, at: number): string =>
  at === 0
    ? id
    : `${id.slice(0, 32)}${((Number.parseInt(id.slice(32), 16) + at) % 65_536).toString(16).padStart(4, '0')}`;

/**
 * The statements of the relay, all on the one connection whose session holds the relay's lock: once the session is gone,
 * so is the lock, and none of them can be run any more.
 */
export const openOutboxTable = (client: pg.ClientBase) => ({
  /** The first rows with something that waits but `besides`, in order of position; at least one, else `limit` entries at most. */
  read: async (limit: number, besides: readonly OutboxRow[] = []): Promise<readonly OutboxRow[]> => {
    const { rows } = await client.query<OutboxRow>({
      name: 'outbox-read',
      text: readSql,
      values: [besides.map(({ position }) => position), limit],
    });
    return rows;
  },

  /** Notes where entries were put, and moves the ends of their partitions, which it answers; in one statement. */
  mark: async (
    placed: readonly { readonly entry: OutboxEntry; readonly partition: number }[],
    ends: readonly KnownEnd[],
  ): Promise<readonly KnownEnd[]> => {
    const marked = new Map<OutboxRow, (number | null)[]>();
    for (const { entry, partition } of placed) {
      const partitions = marked.get(entry.row) ?? noneOf(entry.row);
      partitions[entry.at] = partition;
      marked.set(entry.row, partitions);
    }
    const { rows } = await client.query<EndRow>({
      name: 'outbox-mark',
      text: markSql,
      values: [
        [...marked.keys()].map(({ position }) => position),
        [...marked.values()].map(arrayLiteral),
        ends.map(({ topic }) => topic),
        ends.map(({ partition }) => partition),
        ends.map(({ next }) => String(next)),
      ],
    });
    return rows.map(toKnownEnd);
  },

  /** Puts an entry aside that the broker will never take. */
  putAside: async ({ row, at }: OutboxEntry): Promise<void> => {
    const partitions = noneOf(row);
    partitions[at] = standsAside;
    await client.query(asideSql, [row.position, arrayLiteral(partitions)]);
  },

  ends: async (): Promise<readonly KnownEnd[]> => {
    const { rows } = await client.query<EndRow>(
      'SELECT topic, partition, next_offset FROM messaging.outbox_end',
    );
    return rows.map(toKnownEnd);
  },

  /**
   * Makes all events that were put into these partitions unpublished again, and `ends` what is known of them; answers how
   * many. What has been announced to their topics is forgotten: entries that were pruned have to be announced again.
   */
  reopen: async (ends: readonly KnownEnd[]): Promise<number> => {
    const topics = ends.map(({ topic }) => topic);
    const partitions = ends.map(({ partition }) => partition);
    let reopened = 0;
    await client.query('BEGIN');
    try {
      const { rows } = await client.query<{ first: string | null; last: string | null }>(
        'SELECT min(position) AS first, max(position) AS last FROM messaging.outbox',
      );
      const { first, last } = rows[0] ?? {};
      // By ranges, so that each statement ends within its time however many entries there are.
      for (let from = BigInt(first ?? 0); from <= BigInt(last ?? -1); from += 10_000n) {
        const again = await client.query<{ events: number }>(reopenSql, [topics, partitions, String(from)]);
        reopened += again.rows[0]?.events ?? 0;
      }
      await client.query(endsSql, [topics, partitions, ends.map(({ next }) => String(next))]);
      await client.query('DELETE FROM messaging.backfill WHERE topic = ANY ($1)', [topics]);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    }
    return reopened;
  },

  /**
   * Of the next rows behind `after` removes those that were published 72 hours ago; answers where to go on, or undefined
   * when it has come to younger ones. What was put aside stays, and keeps nothing else from going.
   */
  prune: async (after: string): Promise<string | undefined> => {
    const { rows } = await client.query<{ through: string; old: number }>(pruneSql, [after, pruneChunk]);
    return rows[0]?.old === pruneChunk ? rows[0].through : undefined;
  },
});

/** What {@link openOutboxTable} answers. */
export type OutboxTable = ReturnType<typeof openOutboxTable>;

interface EndRow {
  readonly topic: string;
  readonly partition: number;
  readonly next_offset: string;
}

const toKnownEnd = ({ topic, partition, next_offset: next }: EndRow): KnownEnd => ({
  ...{ topic, partition },
  next: BigInt(next),
});

/** A partition for each event of a row, none of which is known. */
const noneOf = ({ events }: OutboxRow): (number | null)[] =>
  Array.from({ length: events?.length ?? 1 }, () => null);

/** As text, because an array of arrays of different lengths is none for PostgreSQL. */
const arrayLiteral = (partitions: readonly (number | null)[]): string =>
  `{${partitions.map((partition) => partition ?? 'NULL').join()}}`;

/** A bundle is some fifty kilobytes. */
const pruneChunk = 1_000;

const columns =
  `position, event_id, type, version, topic, key, payload, events, value, headers, trace, created_at,
  published_partitions` as const;

const readSql = `
  SELECT ${columns} FROM (
    SELECT ${columns}, row_number() OVER batch AS number, sum(size) OVER batch AS entries,
      sum(coalesce(octet_length(value), 0) + coalesce(pg_column_size(payload), 0)
        + coalesce(pg_column_size(events), 0)) OVER batch AS bytes
    FROM (
      SELECT ${columns}, size FROM messaging.outbox
      WHERE published_at IS NULL AND position NOT IN (SELECT unnest($1::bigint[]))
      ORDER BY position LIMIT $2
    ) AS first
    WINDOW batch AS (ORDER BY position)
  ) AS measured
  WHERE number = 1 OR (entries <= $2 AND bytes <= ${batchLimits.bytes})
  ORDER BY position`;

/**
 * Fills the partitions of `added` (null where it has none) into those of a row as it stands: others of the row may have been sent
 * again since it was read. Published is what has one for each event.
 */
const fillIn = (added: string): string => {
  const filled = `CASE WHEN published_partitions IS NULL THEN ${added} ELSE ARRAY (
      SELECT coalesce(new, old) FROM unnest(published_partitions, ${added}) WITH ORDINALITY AS one (old, new, place)
      ORDER BY place
    ) END`;
  return `published_partitions = ${filled},
    published_at = CASE WHEN array_position(${filled}, NULL) IS NULL THEN now() END`;
};

const markSql = `
  WITH marked AS (
    UPDATE messaging.outbox SET ${fillIn('place.partitions::integer[]')}
    FROM unnest($1::bigint[], $2::text[]) AS place (position, partitions)
    WHERE outbox.position = place.position
  )
  INSERT INTO messaging.outbox_end AS known (topic, partition, next_offset)
  SELECT * FROM unnest($3::text[], $4::integer[], $5::bigint[])
  ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(known.next_offset, excluded.next_offset)
  RETURNING topic, partition, next_offset`;

const asideSql = `
  UPDATE messaging.outbox SET ${fillIn('$2::integer[]')}, aside_at = now()
  WHERE position = $1`;

const reopenSql = `
  WITH lost AS (
    SELECT topic, array_agg(partition) AS partitions
    FROM unnest($1::text[], $2::integer[]) AS lost (topic, partition) GROUP BY topic
  ), again AS (
    UPDATE messaging.outbox SET published_at = NULL, published_partitions = ARRAY (
      SELECT CASE WHEN partition <> ALL (lost.partitions) THEN partition END
      FROM unnest(published_partitions) WITH ORDINALITY AS one (partition, place) ORDER BY place
    )
    FROM lost
    WHERE outbox.topic = lost.topic AND published_partitions && lost.partitions
      AND position >= $3::bigint AND position < $3::bigint + 10000
    RETURNING cardinality(array_positions(published_partitions, NULL)) AS events
  )
  SELECT coalesce(sum(events), 0)::int AS events FROM again`;

const endsSql = `
  UPDATE messaging.outbox_end SET next_offset = ends.next_offset
  FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS ends (topic, partition, next_offset)
  WHERE outbox_end.topic = ends.topic AND outbox_end.partition = ends.partition`;

const pruneSql = `
  WITH chunk AS MATERIALIZED (
    SELECT position, aside_at IS NOT NULL AS aside, published_at < now() - interval '72 hours' AS old
    FROM messaging.outbox WHERE position > $1 ORDER BY position LIMIT $2
  ), removed AS (
    DELETE FROM messaging.outbox WHERE position = ANY (ARRAY (SELECT position FROM chunk WHERE old AND NOT aside))
  )
  SELECT max(position) AS through, count(*) FILTER (WHERE old)::int AS old FROM chunk`;
