import type { TopicDefinition } from '../envelope.js';
import type { RawTransaction } from '@cinegraph/database/transaction';

/**
 * The table `outbox` of a subgraph's database: what is to be told, written in the transaction of what it tells of, so that
 * both are there or neither. Set-based writes insert bundles in their own statement; the relay (outbox/relay.ts) publishes it.
 * Who writes two events of one key holds a lock of that key meanwhile: positions of a key are then in order of commit.
 * The view `outbox_event` shows each event by itself.
 */
export interface OutboxEvent {
  readonly type: string;
  /** The version of the type's schema. */
  readonly version: number;
  readonly topic: string;
  readonly key: string;
  /** Plain JSON, by the schema of type and version. */
  readonly data: unknown;
}

/** A message that goes out as it is, without envelope and signature of ours: the copy of a dead letter. */
export interface OutboxCopy {
  readonly topic: string;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Appends events in the open transaction, in order; `trace` is the `traceparent` of the request that led to them. */
export const appendToOutbox = async (
  tx: RawTransaction,
  events: readonly OutboxEvent[],
  trace: string | null,
): Promise<void> => {
  if (events.length === 0) return;
  await tx.$executeRawUnsafe(
    `INSERT INTO messaging.outbox (type, version, topic, key, payload, trace)
     SELECT type, version, topic, key, data, $2
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (type text, version smallint, topic text, key text, data jsonb))
       WITH ORDINALITY AS e (type, version, topic, key, data, place)
     ORDER BY place`,
    JSON.stringify(events),
    trace,
  );
};

/** Appends messages that go out as they are, in the open transaction, in order. */
export const appendCopiesToOutbox = async (
  tx: RawTransaction,
  copies: readonly OutboxCopy[],
): Promise<void> => {
  if (copies.length === 0) return;
  await tx.$executeRawUnsafe(
    `INSERT INTO messaging.outbox (topic, key, value, headers)
     SELECT topic, key, decode(value, 'base64'), headers
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (topic text, key text, value text, headers jsonb))
       WITH ORDINALITY AS c (topic, key, value, headers, place)
     ORDER BY place`,
    JSON.stringify(copies.map((copy) => ({ ...copy, value: copy.value?.toString('base64') ?? null }))),
  );
};

/**
 * SQL: the rows (key text, trace text, data json) that `rows` selects, as rows for {@link insertBundles}, of at most 500 events and about
 * half a megabyte each. For statements that tell of many keys, of each once: within a bundle no order is promised.
 */
export const bundled = (
  {
    type,
    version,
    topic,
  }: { readonly type: string; readonly version: number; readonly topic: TopicDefinition },
  rows: string,
): string => `(
  SELECT '${type}', ${version}, '${topic.name}', count(*), json_agg(event)
  FROM (
    SELECT row_to_json(told) AS event,
      (sum(1 + octet_length(told.data::text) / 1000) OVER (ROWS UNBOUNDED PRECEDING) - 1) / 500 AS bundle
    FROM (${rows}) AS told
  ) AS measured GROUP BY bundle ORDER BY bundle
)`;

/** SQL: puts what {@link bundled} selects into the outbox, a row a bundle. */
export const insertBundles = (...bundles: readonly string[]): string =>
  `INSERT INTO messaging.outbox (type, version, topic, size, events) ${bundles.join(' UNION ALL ')}`;
