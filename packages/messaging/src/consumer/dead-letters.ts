import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from '../broker.js';
import type { RawTransaction } from '@cinegraph/database/transaction';
import { appendCopiesToOutbox } from '../outbox/append.js';
import { printable } from '@cinegraph/service/terminal';

/** Why a message could not be taken in: a stable code, and a reason for people that says what to do. */
export interface MessageFault {
  readonly code: string;
  readonly reason: string;
}

/** A message that could not be taken in, and by what it is known again. */
export interface RefusedMessage extends MessageFault {
  readonly message: IncomingMessage;
  readonly identity: string;
}

/** A dead letter as it is stored. Its value and key are the message's bytes; the headers those of the allow-list. */
export interface DeadLetter extends MessageFault {
  readonly id: string;
  readonly consumer: string;
  readonly identity: string;
  readonly message: IncomingMessage;
  readonly state: 'open' | 'replayed' | 'dropped';
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What of a message's own headers is kept; the others may hold anything. */
const keptHeaders = ['content-type', 'signature', 'traceparent'] as const;

const maxHeaderLength = 500;
/** Of a dead letter's reason. */
export const maxReasonLength = 500;
const maxCopiedKeyBytes = 1_000;

/** So much is written by one statement. */
const maxPieceLetters = 500;
const maxPieceBytes = 4 * 2 ** 20;

/**
 * Stores messages as dead letters of a consumer and appends a copy of each, bytes as they came, to the outbox, in the open
 * transaction. A message that is stored already is left as it is. Answers how many were new.
 */
export const writeDeadLetters = async (
  tx: RawTransaction,
  options: { readonly consumer: string; readonly deadLetterTopic: (topic: string) => string },
  refused: readonly RefusedMessage[],
): Promise<number> => {
  let written = 0;
  for (const piece of piecesOf(refused)) {
    const rows = piece.map(({ message, identity, code, reason }) => ({
      identity,
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
    const copies = piece.filter(({ identity }) => stored.has(identity));
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
    WITH ORDINALITY AS l (identity, topic, partition, "offset", appended_at, key, value, headers, code, reason, place)
  ORDER BY place
  ON CONFLICT (consumer, identity) DO NOTHING
  RETURNING identity`;

/** Which dead letters are meant: those of `ids`, or all, of one code where it is given. */
export type DeadLetterChoice =
  { readonly ids: readonly string[] } | { readonly all: true; readonly code?: string | undefined };

/** Ids of the open dead letters that are meant, with their consumers, in the order in which the messages came. */
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

/** Open dead letters, newest first, at most `limit` of them. Their bytes are left out. */
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

/** How many open dead letters there are, of each consumer and code. */
export const countDeadLetters = (
  tx: RawTransaction,
): PromiseLike<readonly { readonly consumer: string; readonly code: string; readonly count: number }[]> =>
  tx.$queryRawUnsafe(
    `SELECT consumer, code, count(*)::int AS count FROM dead_letter WHERE state = 'open'
     GROUP BY consumer, code ORDER BY count(*) DESC, consumer, code`,
  );

/** A dead letter of any state, whole; `locked` keeps others from changing it until the transaction ends. */
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

/** Gives open dead letters up; answers the ids of those that were open. */
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
  identity: row.identity,
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

/** Text of a message as a row, a header and a terminal can carry it, cut to `length`. */
export const shortText = (text: string, length: number): string =>
  printable(text.slice(0, length)).slice(0, length).toWellFormed();

/** Keys are text for those who publish; what is none only spreads the letters. */
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
