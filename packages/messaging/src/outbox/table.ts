import type pg from 'pg';

/** A row of the outbox: one event, a bundle of events, or a message that is published unchanged. */
export interface OutboxRow {
  /** A bigint as text. */
  readonly position: string;
  /** The id of the first event; {@link eventIdAt} returns those of the others. */
  readonly event_id: string;
  /** Null for a message that is published unchanged. */
  readonly type: string | null;
  readonly version: number;
  readonly topic: string;
  readonly key: string | null;
  readonly payload: unknown;
  /** The events of a bundle; a parked one is null. */
  readonly events: readonly (BundledEvent | null)[] | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly trace: string | null;
  readonly created_at: Date;
}

/** What the events of a bundle do not have in common. */
interface BundledEvent {
  readonly key: string | null;
  readonly trace: string | null;
  readonly data: unknown;
}

/** A partition and the offset after the last message that the relay published to it. */
export interface KnownEnd {
  readonly topic: string;
  readonly partition: number;
  readonly next: bigint;
}

/** How many events and bytes are published at a time at most. A larger single row is published alone. */
export const batchLimits = { events: 2_000, bytes: 1_000_000 } as const;

/** Returns the id of an event of a row: that of the row plus its index, in the last 16 bits. */
export const eventIdAt = ({ event_id: id }: OutboxRow, at: number): string =>
  at === 0
    ? id
    : `${id.slice(0, 32)}${((Number.parseInt(id.slice(32), 16) + at) % 65_536).toString(16).padStart(4, '0')}`;

/**
 * Returns the statements of the relay. All run on the connection whose session holds the relay's lock, so
 * that a relay that has lost the lock cannot run any of them.
 */
export const openOutboxTable = (client: pg.ClientBase) => ({
  /** Reads the first unpublished rows except `besides`, within the limits of a batch. */
  read: async (besides: readonly OutboxRow[] = []): Promise<readonly OutboxRow[]> => {
    const values = [besides.map(({ position }) => position)];
    return (await client.query<OutboxRow>({ name: 'outbox-read', text: readSql, values })).rows;
  },

  /** Marks rows as published and stores the ends of their partitions. */
  mark: async (rows: readonly OutboxRow[], ends: readonly KnownEnd[]): Promise<void> => {
    const values = [rows.map(({ position }) => position), ...endValues(ends)];
    await client.query({ name: 'outbox-mark', text: markSql, values });
  },

  /** Moves an event that the broker rejected for good to `outbox_parked`. */
  park: async ({ position }: OutboxRow, at: number, reason: string): Promise<void> => {
    await client.query(parkSql, [position, at + 1, reason]);
  },

  /** Reads the end of each partition that was published to. */
  ends: async (): Promise<readonly KnownEnd[]> => {
    const { rows } = await client.query<{ topic: string; partition: number; next_offset: string }>(
      'SELECT topic, partition, next_offset FROM messaging.outbox_end',
    );
    return rows.map(({ topic, partition, next_offset: next }) => ({ topic, partition, next: BigInt(next) }));
  },

  /**
   * Makes all rows of the topics of `ends` unpublished again, stores these ends, and returns the number of
   * events. The backfills of the topics start again, because older events are no longer in the outbox.
   */
  reopen: async (ends: readonly KnownEnd[]): Promise<number> => {
    const topics = ends.map(({ topic }) => topic);
    let reopened = 0;
    await client.query('BEGIN');
    try {
      const { rows } = await client.query<{ first: string | null; last: string | null }>(
        'SELECT min(position) AS first, max(position) AS last FROM messaging.outbox',
      );
      const { first, last } = rows[0] ?? {};
      // In ranges, so that no statement reaches its timeout, however many rows there are.
      for (let from = BigInt(first ?? 0); from <= BigInt(last ?? -1); from += 10_000n) {
        const again = await client.query<{ events: number }>(reopenSql, [topics, String(from)]);
        reopened += again.rows[0]?.events ?? 0;
      }
      await client.query(endsSql(1), endValues(ends));
      await client.query('DELETE FROM messaging.backfill WHERE topic = ANY ($1)', [topics]);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    }
    return reopened;
  },

  /**
   * Deletes those of the first rows that were published more than 72 hours ago. Returns whether there may be
   * more of them.
   */
  prune: async (): Promise<boolean> => {
    const { rows } = await client.query<{ removed: number }>(pruneSql, [pruneChunk]);
    return rows[0]?.removed === pruneChunk;
  },

  /** Keeps the session, which the server ends when it is idle for too long. */
  keepSession: async (): Promise<void> => {
    await client.query('SELECT 1');
  },
});

/** The statements that {@link openOutboxTable} returns. */
export type OutboxTable = ReturnType<typeof openOutboxTable>;

/** How many rows one statement deletes at most; a bundle has about 50 kilobytes. */
const pruneChunk = 1_000;

const columns =
  'position, event_id, type, version, topic, key, payload, events, value, headers, trace, created_at' as const;

const readSql = `
  SELECT ${columns} FROM (
    SELECT ${columns}, row_number() OVER batch AS number, sum(size) OVER batch AS events_so_far,
      sum(coalesce(octet_length(value), 0) + coalesce(pg_column_size(payload), 0)
        + coalesce(pg_column_size(events), 0)) OVER batch AS bytes
    FROM (
      SELECT ${columns}, size FROM messaging.outbox
      WHERE published_at IS NULL AND position NOT IN (SELECT unnest($1::bigint[]))
      ORDER BY position LIMIT ${batchLimits.events}
    ) AS first
    WINDOW batch AS (ORDER BY position)
  ) AS measured
  WHERE number = 1 OR (events_so_far <= ${batchLimits.events} AND bytes <= ${batchLimits.bytes})
  ORDER BY position`;

/** The values of {@link endsSql}. */
const endValues = (ends: readonly KnownEnd[]) => [
  ends.map(({ topic }) => topic),
  ends.map(({ partition }) => partition),
  ends.map(({ next }) => String(next)),
];

/** Returns a statement that stores the ends in the parameters from number `first`. */
const endsSql = (first: number): string => `
  INSERT INTO messaging.outbox_end (topic, partition, next_offset)
  SELECT * FROM unnest($${first}::text[], $${first + 1}::integer[], $${first + 2}::bigint[])
  ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset`;

const markSql = `
  WITH marked AS (UPDATE messaging.outbox SET published_at = now() WHERE position = ANY ($1::bigint[]))
  ${endsSql(2)}`;

/**
 * A row that is one event is deleted. In a bundle, the event becomes null, so that the others keep their
 * ids. An event that was parked before keeps its position and number.
 */
const parkSql = `
  WITH parked AS (
    INSERT INTO messaging.outbox_parked (position, ordinal, event_id, type, version, topic, key, payload,
      value, headers, trace, created_at, reason)
    SELECT position, CASE WHEN size > 1 THEN ordinal END, event_id, type, version, topic, key, payload,
      value, headers, trace, created_at, $3
    FROM messaging.outbox_event WHERE position = $1 AND ordinal = $2
    ON CONFLICT (event_id) DO UPDATE SET parked_at = now(), reason = excluded.reason, resent_as = NULL
  ), deleted AS (
    DELETE FROM messaging.outbox WHERE position = $1 AND events IS NULL
  )
  UPDATE messaging.outbox SET events = jsonb_set(events::jsonb, ARRAY[($2::integer - 1)::text], 'null')
  WHERE position = $1 AND events IS NOT NULL`;

const reopenSql = `
  WITH again AS (
    UPDATE messaging.outbox SET published_at = NULL
    WHERE topic = ANY ($1) AND published_at IS NOT NULL AND position >= $2::bigint AND position < $2::bigint + 10000
    RETURNING size
  )
  SELECT coalesce(sum(size), 0)::int AS events FROM again`;

const pruneSql = `
  WITH first AS MATERIALIZED (
    SELECT position, published_at FROM messaging.outbox ORDER BY position LIMIT $1
  ), removed AS (
    DELETE FROM messaging.outbox WHERE position = ANY (ARRAY (
      SELECT position FROM first WHERE published_at < now() - interval '72 hours'
    ))
    RETURNING position
  ), resent AS (
    DELETE FROM messaging.outbox_parked WHERE resent_as IN (SELECT position FROM removed)
  )
  SELECT count(*)::int AS removed FROM removed`;
