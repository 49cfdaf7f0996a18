import { hash } from 'node:crypto';
import { createPruning, pruneTable } from '@cinegraph/database/prune';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import type { IncomingMessage } from '../broker.js';
import type { Envelope } from '../envelope.js';

/**
 * Returns the deduplication key of a message that has no id: topic, partition, offset, append time and a hash
 * of its bytes. The offset alone is not enough, since a broker that lost its messages starts at offset 0
 * again. Keys sort in the order of a partition; their numbers have base 36 to be short.
 */
export const recordDedupKey = ({ topic, partition, offset, appendedAt, value }: IncomingMessage): string => {
  const position = `at:${topic}:${sortable(partition, 4)}:${sortable(offset, 13)}:${sortable(appendedAt.getTime(), 9)}`;
  return `${position}:${value === null ? 'null' : hash('sha256', value, 'base64url').slice(0, 22)}`;
};

const sortable = (number: number | bigint, digits: number): string =>
  number.toString(36).padStart(digits, '0');

/**
 * Returns the deduplication key of an event whose signature is verified: its producer and id, so that no
 * producer can claim an id of another.
 */
export const eventDedupKey = ({ producer, id }: Pick<Envelope, 'producer' | 'id'>): string =>
  `event:${producer}:${id.toLowerCase()}`;

/**
 * Records the keys as seen by a consumer, in the open transaction, and returns those that were new. Rows are
 * inserted in order, so that two members of a group with the same messages wait for each other instead of
 * deadlocking.
 */
export const claimDedupKeys = async (
  tx: RawTransaction,
  consumer: string,
  dedupKeys: readonly string[],
): Promise<ReadonlySet<string>> => {
  const [row] = await tx.$queryRawUnsafe<readonly { count: number; identities: readonly string[] | null }[]>(
    `WITH claimed AS (
       INSERT INTO inbox (consumer, identity)
       SELECT $1, identity FROM unnest($2::text[]) AS seen (identity) ORDER BY identity COLLATE "C"
       ON CONFLICT DO NOTHING RETURNING identity
     )
     SELECT count(*)::int AS count,
       CASE WHEN count(*) < cardinality($2) THEN array_agg(identity) END AS identities
     FROM claimed`,
    consumer,
    dedupKeys,
  );
  // Usually all are new; then the statement does not return them.
  return new Set(row?.count === dedupKeys.length ? dedupKeys : row?.identities);
};

/** Deletes a key that was claimed in the open transaction, because its message had no effect. */
export const releaseDedupKey = (
  tx: RawTransaction,
  consumer: string,
  dedupKey: string,
): PromiseLike<number> =>
  tx.$executeRawUnsafe('DELETE FROM inbox WHERE consumer = $1 AND identity = $2', consumer, dedupKey);

/** Twice as long as topics keep their messages. */
const inboxLifetimeMs = 14 * 24 * 60 * 60 * 1000;

/** Creates a part that removes inbox rows older than 14 days, at its start and every hour. */
export const createInboxPruning = (tx: RawTransaction, clock: Clock, logger: Logger): Part =>
  createPruning({ name: 'pruning of the inbox', prune: () => pruneInbox(tx, clock.now()), logger });

/** Removes inbox rows older than 14 days, and returns how many. */
export const pruneInbox = (tx: RawTransaction, now: Date): Promise<number> =>
  pruneTable(tx, 'inbox', 'seen_at <= $1::timestamptz', new Date(now.getTime() - inboxLifetimeMs));
