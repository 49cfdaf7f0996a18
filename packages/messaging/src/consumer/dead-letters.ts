import { isUtf8 } from 'node:buffer';
import { createPruning, pruneTable } from '@cinegraph/database/prune';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { printable } from '@cinegraph/service/terminal';
import type { IncomingMessage } from '../broker.js';
import { appendCopiesToOutbox } from '../outbox/append.js';

/** Why a message could not be handled: a stable code, and a reason for people that says what to do. */
export interface MessageFault {
  readonly code: string;
  readonly reason: string;
}

/** A message that could not be handled, with its deduplication key. */
export interface RefusedMessage extends MessageFault {
  readonly message: IncomingMessage;
  readonly dedupKey: string;
}

/** A stored dead letter: the message with its bytes, but only with the headers of an allow-list. */
export interface DeadLetter extends MessageFault {
  readonly id: string;
  readonly consumer: string;
  readonly dedupKey: string;
  readonly message: IncomingMessage;
  readonly state: 'open' | 'replayed' | 'dropped';
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The headers of a message that are kept; others may contain anything, even secrets. */
const keptHeaders = ['content-type', 'signature', 'traceparent'] as const;

const maxHeaderLength = 500;
/** Maximum length of the reason of a dead letter. */
export const maxReasonLength = 500;
const maxCopiedKeyBytes = 1_000;

/** One statement writes at most this much. */
const maxPieceLetters = 500;
const maxPieceBytes = 4 * 2 ** 20;

/**
 * Stores messages as dead letters of a consumer, and appends a copy of each, with the same bytes, to the
 * outbox, in the open transaction. Skips messages that are stored already. Returns how many were new.
 */
export const writeDeadLetters = async (
  tx: RawTransaction,
  options: { readonly consumer: string; readonly deadLetterTopic: (topic: string) => string },
  refused: readonly RefusedMessage[],
): Promise<number> => {
  let written = 0;
  for (const piece of piecesOf(refused)) {
    const rows = piece.map(({ message, dedupKey, code, reason }) => ({
      identity: dedupKey,
      topic: message.topic,
      partition: message.partition,
      offset: String(message.offset),
      appended_at: message.appendedAt.toISOString(),
      key: message.key?.toString('base64') ?? null,
      value: message.value?.toString('base64') ?? null,
      headers: keptHeadersOf(message),
      code,
      reason: shortText(reason, maxReasonLength),
    }));
    const stored = new Set(
      (
        await tx.$queryRawUnsafe<readonly { identity: string }[]>(
          insertDeadLetters,
          options.consumer,
          JSON.stringify(rows),
        )
      ).map(({ identity }) => identity),
    );
    const copies = piece.filter(({ dedupKey }) => stored.has(dedupKey));
    await appendCopiesToOutbox(
      tx,
      copies.map(({ message, code, reason }) => ({
        topic: options.deadLetterTopic(message.topic),
        key: copiedKeyOf(message.key),
        value: message.value,
        headers: {
          ...keptHeadersOf(message),
          'dead-letter-code': code,
          'dead-letter-reason': shortText(reason, maxReasonLength),
          'dead-letter-consumer': options.consumer,
          'dead-letter-topic': message.topic,
          'dead-letter-partition': String(message.partition),
          'dead-letter-offset': String(message.offset),
          'dead-letter-time': message.appendedAt.toISOString(),
        },
      })),
    );
    written += stored.size;
  }
  return written;
};

const insertDeadLetters = `
  INSERT INTO dead_letter (consumer, identity, topic, partition, "offset", appended_at, key, value, headers, code, reason)
  SELECT $1, identity, topic, partition, "offset", appended_at, decode(key, 'base64'), decode(value, 'base64'),
    headers, code, reason
  FROM ROWS FROM (jsonb_to_recordset($2::jsonb) AS (identity text, topic text, partition integer, "offset" bigint,
      appended_at timestamptz, key text, value text, headers jsonb, code text, reason text))
    WITH ORDINALITY AS l (identity, topic, partition, "offset", appended_at, key, value, headers, code, reason, ordinal)
  ORDER BY ordinal
  ON CONFLICT (consumer, identity) DO NOTHING
  RETURNING identity`;

/** Selects dead letters: those of `ids`, or all, or all with one code. */
export type DeadLetterChoice =
  { readonly ids: readonly string[] } | { readonly all: true; readonly code?: string | undefined };

/** Returns the ids of the selected open dead letters, with their consumers, in the order of the messages. */
export const findOpenDeadLetters = (
  tx: RawTransaction,
  choice: DeadLetterChoice,
): PromiseLike<readonly { readonly id: string; readonly consumer: string }[]> =>
  tx.$queryRawUnsafe(
    `SELECT id::text, consumer FROM dead_letter
     WHERE state = 'open' AND ($1::bigint[] IS NULL OR id = ANY ($1)) AND ($2::text IS NULL OR code = $2)
     ORDER BY appended_at, topic, partition, "offset", id`,
    'ids' in choice ? choice.ids : null,
    'ids' in choice ? null : (choice.code ?? null),
  );

/** Returns at most `limit` open dead letters, newest first, without keys and values. */
export const listDeadLetters = async (
  tx: RawTransaction,
  { limit, code }: { readonly limit: number; readonly code?: string | undefined },
): Promise<readonly DeadLetter[]> => {
  const rows = await tx.$queryRawUnsafe<readonly DeadLetterRow[]>(
    `SELECT ${columns}, NULL::bytea AS key, NULL::bytea AS value FROM dead_letter
     WHERE state = 'open' AND ($2::text IS NULL OR code = $2)
     ORDER BY id DESC LIMIT $1`,
    limit,
    code ?? null,
  );
  return rows.map(toDeadLetter);
};

/** Counts the open dead letters of each consumer and code. */
export const countDeadLetters = (
  tx: RawTransaction,
): PromiseLike<readonly { readonly consumer: string; readonly code: string; readonly count: number }[]> =>
  tx.$queryRawUnsafe(
    `SELECT consumer, code, count(*)::int AS count FROM dead_letter WHERE state = 'open'
     GROUP BY consumer, code ORDER BY count(*) DESC, consumer, code`,
  );

/** Returns a dead letter in any state, with key and value; `locked` locks its row in the transaction. */
export const findDeadLetter = async (
  tx: RawTransaction,
  id: string,
  { locked = false } = {},
): Promise<DeadLetter | undefined> => {
  const [row] = await tx.$queryRawUnsafe<readonly DeadLetterRow[]>(
    `SELECT ${columns}, key, value FROM dead_letter WHERE id = $1::bigint ${locked ? 'FOR UPDATE' : ''}`,
    id,
  );
  return row && toDeadLetter(row);
};

/** Marks open dead letters as dropped. Returns the ids of those that were open. */
export const dropDeadLetters = async (
  tx: RawTransaction,
  ids: readonly string[],
): Promise<ReadonlySet<string>> => {
  const rows = await tx.$queryRawUnsafe<readonly { id: string }[]>(
    `UPDATE dead_letter SET state = 'dropped', updated_at = now()
     WHERE id = ANY ($1::bigint[]) AND state = 'open' RETURNING id::text`,
    ids,
  );
  return new Set(rows.map(({ id }) => id));
};

const day = 24 * 60 * 60 * 1000;
const closedLifetimeMs = 30 * day;
const openLifetimeMs = 90 * day;

/**
 * Creates a part that removes dead letters 30 days after they were replayed or dropped, and open ones after
 * 90 days, which it logs as a warning. Runs at its start and every hour.
 */
export const createDeadLetterPruning = (tx: RawTransaction, clock: Clock, logger: Logger): Part =>
  createPruning({
    name: 'pruning of dead letters',
    prune: async () => {
      const { open } = await pruneDeadLetters(tx, clock.now());
      if (open > 0)
        logger.warn({ count: open }, 'dead letters were removed that nobody dealt with in 90 days');
    },
    logger,
  });

/** Removes dead letters that are old enough. Returns how many closed and how many open ones were removed. */
export const pruneDeadLetters = async (
  tx: RawTransaction,
  now: Date,
): Promise<{ readonly closed: number; readonly open: number }> => {
  const before = (lifetimeMs: number) => new Date(now.getTime() - lifetimeMs);
  const closed = `state <> 'open' AND updated_at <= $1::timestamptz`;
  const open = `state = 'open' AND created_at <= $1::timestamptz`;
  return {
    closed: await pruneTable(tx, 'dead_letter', closed, before(closedLifetimeMs)),
    open: await pruneTable(tx, 'dead_letter', open, before(openLifetimeMs)),
  };
};

const columns = `id::text, consumer, identity, topic, partition, "offset"::text, appended_at, headers, code, reason, state,
  created_at, updated_at`;

interface DeadLetterRow extends MessageFault {
  readonly id: string;
  readonly consumer: string;
  readonly identity: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly appended_at: Date;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly state: DeadLetter['state'];
  readonly created_at: Date;
  readonly updated_at: Date;
}

const toDeadLetter = (row: DeadLetterRow): DeadLetter => ({
  id: row.id,
  consumer: row.consumer,
  dedupKey: row.identity,
  code: row.code,
  reason: row.reason,
  state: row.state,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  message: {
    topic: row.topic,
    partition: row.partition,
    offset: BigInt(row.offset),
    appendedAt: row.appended_at,
    key: row.key,
    value: row.value,
    headers: Object.fromEntries(
      Object.entries(row.headers).map(([name, value]) => [name, Buffer.from(value, 'latin1')]),
    ),
  },
});

const keptHeadersOf = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    keptHeaders.flatMap((name) => {
      const value = headers[name];
      return value === undefined ? [] : [[name, shortText(value.toString('latin1'), maxHeaderLength)]];
    }),
  );

/** Cuts text to `length`, and escapes what a database row, a header or a terminal cannot contain. */
export const shortText = (text: string, length: number): string =>
  printable(text.slice(0, length)).slice(0, length).toWellFormed();

/** Keys are published as text; a key that is not text, or is too long, is left out of the copy. */
const copiedKeyOf = (key: Buffer | null): string | null =>
  key !== null && key.length <= maxCopiedKeyBytes && isUtf8(key) && !key.includes(0)
    ? key.toString('utf8')
    : null;

const piecesOf = function* (refused: readonly RefusedMessage[]): Generator<readonly RefusedMessage[]> {
  let piece: RefusedMessage[] = [];
  let bytes = 0;
  for (const one of refused) {
    piece.push(one);
    bytes += (one.message.value?.length ?? 0) + (one.message.key?.length ?? 0);
    if (piece.length >= maxPieceLetters || bytes >= maxPieceBytes) {
      yield piece;
      piece = [];
      bytes = 0;
    }
  }
  if (piece.length > 0) yield piece;
};
