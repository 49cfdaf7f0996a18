import type pg from 'pg';
import type { Place } from '../broker.js';

/** An entry of the table `outbox` that is not published yet. */
export interface OutboxEntry {
  /** A bigint as text. */
  readonly position: string;
  readonly event_id: string;
  /** Null: goes out as it is. */
  readonly type: string | null;
  readonly version: number;
  readonly topic: string;
  readonly key: string | null;
  readonly payload: unknown;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly trace: string | null;
  readonly created_at: Date;
}

/** A partition, and the offset behind the last message of ours that it is known to have. */
export interface KnownEnd {
  readonly topic: string;
  readonly partition: number;
  readonly next: bigint;
}

/** At most so many entries and bytes are published at a time; one entry in any case. */
export const batchLimits = { entries: 500, bytes: 1_000_000 } as const;

/**
 * The statements of the relay, all on the one connection whose session holds the relay's lock: once the session is gone,
 * so is the lock, and none of them can be run any more.
 */
export const openOutboxTable = (client: pg.ClientBase) => ({
  /** The first unpublished entries but `besides`, in order of position. */
  read: async (limit: number, besides: readonly OutboxEntry[] = []): Promise<readonly OutboxEntry[]> => {
    const { rows } = await client.query<OutboxEntry>({
      name: 'outbox-read',
      text: readSql,
      values: [besides.map(({ position }) => position), limit],
    });
    return rows;
  },

  /** Notes where entries were put, and moves the ends of those partitions, which it answers; in one statement. */
  mark: async (
    placed: readonly { readonly entry: OutboxEntry; readonly place: Place }[],
  ): Promise<readonly KnownEnd[]> => {
    const { rows } = await client.query<EndRow>({
      name: 'outbox-mark',
      text: markSql,
      values: [
        placed.map(({ entry }) => entry.position),
        placed.map(({ place }) => place.partition),
        placed.map(({ place }) => String(place.offset)),
      ],
    });
    return rows.map(toKnownEnd);
  },

  /** Puts an entry aside that the broker will never take: it has a time of publishing, and no offset. */
  putAside: async ({ position }: OutboxEntry): Promise<void> => {
    await client.query('UPDATE outbox SET published_at = now() WHERE position = $1', [position]);
  },

  ends: async (): Promise<readonly KnownEnd[]> => {
    const { rows } = await client.query<EndRow>('SELECT topic, partition, next_offset FROM outbox_end');
    return rows.map(toKnownEnd);
  },

  /**
   * Makes all entries that were put into these partitions unpublished again, and `ends` what is known of them; answers how
   * many. What has been announced to their topics is forgotten: entries that were pruned have to be announced again.
   */
  reopen: async (ends: readonly KnownEnd[]): Promise<number> => {
    const topics = ends.map(({ topic }) => topic);
    const partitions = ends.map(({ partition }) => partition);
    let reopened = 0;
    await client.query('BEGIN');
    try {
      const { rows } = await client.query<{ first: string | null; last: string | null }>(
        'SELECT min(position) AS first, max(position) AS last FROM outbox',
      );
      const { first, last } = rows[0] ?? {};
      // By ranges, so that each statement ends within its time however many entries there are.
      for (let from = BigInt(first ?? 0); from <= BigInt(last ?? -1); from += 50_000n) {
        const { rowCount } = await client.query(reopenSql, [topics, partitions, String(from)]);
        reopened += rowCount ?? 0;
      }
      await client.query(endsSql, [topics, partitions, ends.map(({ next }) => String(next))]);
      await client.query('DELETE FROM announcement WHERE topic = ANY ($1)', [topics]);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    }
    return reopened;
  },

  /**
   * Of the next entries behind `after` removes those that were published 72 hours ago; answers where to go on, or undefined
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

const pruneChunk = 5_000;

const columns =
  'position, event_id, type, version, topic, key, payload, value, headers, trace, created_at' as const;

const readSql = `
  SELECT ${columns} FROM (
    SELECT ${columns}, row_number() OVER batch AS number,
      sum(coalesce(octet_length(value), 0) + coalesce(pg_column_size(payload), 0)) OVER batch AS bytes
    FROM (
      SELECT ${columns} FROM outbox
      WHERE published_offset IS NULL AND published_at IS NULL AND position <> ALL ($1::bigint[])
      ORDER BY position LIMIT $2
    ) AS first
    WINDOW batch AS (ORDER BY position)
  ) AS measured
  WHERE number = 1 OR bytes <= ${batchLimits.bytes}
  ORDER BY position`;

const markSql = `
  WITH marked AS (
    UPDATE outbox SET published_at = now(), published_partition = place.partition, published_offset = place."offset"
    FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS place (position, partition, "offset")
    WHERE outbox.position = place.position
    RETURNING topic, published_partition, published_offset
  )
  INSERT INTO outbox_end AS known (topic, partition, next_offset)
  SELECT topic, published_partition, max(published_offset) + 1 FROM marked GROUP BY 1, 2
  ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(known.next_offset, excluded.next_offset)
  RETURNING topic, partition, next_offset`;

const reopenSql = `
  UPDATE outbox SET published_at = NULL, published_partition = NULL, published_offset = NULL
  FROM unnest($1::text[], $2::integer[]) AS lost (topic, partition)
  WHERE outbox.topic = lost.topic AND published_partition = lost.partition
    AND position >= $3::bigint AND position < $3::bigint + 50000`;

const endsSql = `
  UPDATE outbox_end SET next_offset = ends.next_offset
  FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS ends (topic, partition, next_offset)
  WHERE outbox_end.topic = ends.topic AND outbox_end.partition = ends.partition`;

const pruneSql = `
  WITH chunk AS MATERIALIZED (
    SELECT position, published_offset IS NULL AS aside, published_at < now() - interval '72 hours' AS old
    FROM outbox WHERE position > $1 ORDER BY position LIMIT $2
  ), removed AS (
    DELETE FROM outbox WHERE position = ANY (ARRAY (SELECT position FROM chunk WHERE old AND NOT aside))
  )
  SELECT max(position) AS through, count(*) FILTER (WHERE old)::int AS old FROM chunk`;
