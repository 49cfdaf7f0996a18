import { hash } from 'node:crypto';
import type { IncomingMessage } from '../broker.js';
import type { Clock } from '@cinegraph/service/clock';
import type { Envelope } from '../envelope.js';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';

/**
 * By what a message without an id of its own is known again: topic, partition, offset, append time and a hash of its
 * bytes, since a broker that lost its log begins at offset 0 again. Sorts as the messages of a partition stand; numbers
 * are of base 36, since millions of these are kept.
 */
export const recordDedupKey = ({ topic, partition, offset, appendedAt, value }: IncomingMessage): string => {
  const place = `at:${topic}:${sortable(partition, 4)}:${sortable(offset, 13)}:${sortable(appendedAt.getTime(), 9)}`;
  return `${place}:${value === null ? 'null' : hash('sha256', value, 'base64url').slice(0, 22)}`;
};

const sortable = (number: number | bigint, digits: number): string =>
  number.toString(36).padStart(digits, '0');

/** By what a verified event is known again: its id, for its producer alone, so that none can use up another's. */
export const eventDedupKey = ({ producer, id }: Pick<Envelope, 'producer' | 'id'>): string =>
  `event:${producer}:${id.toLowerCase()}`;

/**
 * Notes the identities as seen by a consumer, in the open transaction, and answers those that were new. In order, so that
 * two members of a group that got the same messages wait for each other instead of deadlocking.
 */
export const claimDedupKeys = async (
  tx: RawTransaction,
  consumer: string,
  identities: readonly string[],
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
    identities,
  );
  // Mostly all are new, and need not be sent back.
  return new Set(row?.count === identities.length ? identities : row?.identities);
};

/** Takes back a claim of the open transaction that had no effect. */
export const releaseDedupKey = (
  tx: RawTransaction,
  consumer: string,
  identity: string,
): PromiseLike<number> =>
  tx.$executeRawUnsafe('DELETE FROM inbox WHERE consumer = $1 AND identity = $2', consumer, identity);

const day = 24 * 60 * 60 * 1000;

/** Twice as long as topics keep their messages. */
const inboxLifetimeMs = 14 * day;

/** For dead letters that somebody has dealt with, and for those that nobody has. */
const deadLetterLifetimeMs = 30 * day;
const openDeadLetterLifetimeMs = 90 * day;

const pruneEveryMs = 60 * 60 * 1000;

/** So many rows are removed by one statement: far below what its time-out allows. */
const pruneChunk = 5_000;

/**
 * A part that removes inbox rows after 14 days, and dead letters 30 days after they were replayed or dropped, or 90 days after they came,
 * which the log tells: at the start and every hour. A failure is logged, and the next hour tries again.
 */
export const createInboxPruning = (tx: RawTransaction, clock: Clock, logger: Logger): Part => {
  let timer: NodeJS.Timeout | undefined;
  const prune = () => {
    pruneInbox(tx, clock.now()).then(
      ({ openDeadLetters }) => {
        if (openDeadLetters === 0) return;
        logger.warn(
          { count: openDeadLetters },
          'dead letters were removed that nobody dealt with in 90 days',
        );
      },
      (error: unknown) => logger.warn({ err: error }, 'old inbox rows were not removed'),
    );
  };
  return {
    name: 'inbox pruning',
    start: async () => {
      prune();
      timer = setInterval(prune, pruneEveryMs).unref();
    },
    stop: async () => clearInterval(timer),
  };
};

/** Removes what is too old, piece by piece; answers how much of each. Two replicas at once share the work. */
export const pruneInbox = async (tx: RawTransaction, now: Date) => {
  const before = (lifetimeMs: number): number => now.getTime() - lifetimeMs;
  return {
    identities: await pruneTable(tx, 'inbox', 'seen_at <= $1::timestamptz', before(inboxLifetimeMs)),
    deadLetters: await pruneTable(
      tx,
      'dead_letter',
      `state <> 'open' AND updated_at <= $1::timestamptz`,
      before(deadLetterLifetimeMs),
    ),
    openDeadLetters: await pruneTable(
      tx,
      'dead_letter',
      `state = 'open' AND created_at <= $1::timestamptz`,
      before(openDeadLetterLifetimeMs),
    ),
  };
};

const pruneTable = async (tx: RawTransaction, table: string, old: string, before: number) => {
  for (let removed = 0; ;) {
    const piece = await tx.$executeRawUnsafe(
      `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM ${table} WHERE ${old} LIMIT ${pruneChunk} FOR UPDATE SKIP LOCKED))`,
      new Date(before).toISOString(),
    );
    removed += piece;
    if (piece < pruneChunk) return removed;
  }
};
