import type { TopicDefinition } from '../envelope.js';
import type { RawTransaction } from '@cinegraph/database/transaction';

/**
 * An event in the table `messaging.outbox`. It is appended in the transaction of the change that it
 * describes, so that both are committed or neither; the relay publishes it. A transaction that appends an
 * event locks the event's key, so that the positions of a key are in the order of the commits.
 */
export interface OutboxEvent {
  readonly type: string;
  /** The version of the type's schema. */
  readonly version: number;
  readonly topic: string;
  readonly key: string;
  /** Plain JSON that conforms to the schema of the type and version. */
  readonly data: unknown;
}

/** A message that is published unchanged, without envelope and signature: the copy of a dead letter. */
export interface OutboxCopy {
  readonly topic: string;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Appends events in the open transaction, in order. `trace` is the `traceparent` of the request that caused
 * them.
 */
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
       WITH ORDINALITY AS e (type, version, topic, key, data, number)
     ORDER BY number`,
    JSON.stringify(events),
    trace,
  );
};

/** Appends messages that are published unchanged, in the open transaction and in order. */
export const appendCopiesToOutbox = async (
  tx: RawTransaction,
  copies: readonly OutboxCopy[],
): Promise<void> => {
  if (copies.length === 0) return;
  await tx.$executeRawUnsafe(
    `INSERT INTO messaging.outbox (topic, key, value, headers)
     SELECT topic, key, decode(value, 'base64'), headers
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (topic text, key text, value text, headers jsonb))
       WITH ORDINALITY AS c (topic, key, value, headers, number)
     ORDER BY number`,
    JSON.stringify(copies.map((copy) => ({ ...copy, value: copy.value?.toString('base64') ?? null }))),
  );
};

/**
 * Returns a query that puts the rows of `rows` (key text, trace text, data json) into bundles for {@link
 * insertBundles}, each of at most 500 events and about half a megabyte. The rows must have different keys,
 * because the order within a bundle is not defined.
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
    SELECT row_to_json(change) AS event,
      (sum(1 + octet_length(change.data::text) / 1000) OVER (ROWS UNBOUNDED PRECEDING) - 1) / 500 AS bundle
    FROM (${rows}) AS change
  ) AS measured GROUP BY bundle ORDER BY bundle
)`;

/** Returns a statement that appends the bundles of {@link bundled} queries to the outbox, one row each. */
export const insertBundles = (...bundles: readonly string[]): string =>
  `INSERT INTO messaging.outbox (type, version, topic, size, events) ${bundles.join(' UNION ALL ')}`;
