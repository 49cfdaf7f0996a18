import { createHash } from 'node:crypto';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Clock } from '@cinegraph/service/clock';
import { refusalCode, Refusal, type RefusalDetails } from '@cinegraph/service/refusal';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';

/** A command that its viewer may send again under the same key without a second effect. */
export interface KeyedCommand {
  readonly viewerId: string;
  readonly key: string;
  readonly operation: string;
  /** What the command was asked with; compared by a hash of its canonical JSON. */
  readonly arguments: unknown;
}

/** What a command ended with: its answer as plain JSON, or the refusal it was given. */
export type StoredAnswer =
  | { readonly answer: unknown }
  | {
      readonly refusal: {
        readonly code: string;
        readonly message: string;
        readonly details?: RefusalDetails;
      };
    };

/**
 * What became of a key: `fresh`, now claimed by this transaction; `answered` before, with what was said then;
 * `same` as an earlier command of this batch (by index); or `reused` for something else.
 */
export type Claim =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'answered'; readonly stored: StoredAnswer }
  | { readonly kind: 'same'; readonly as: number }
  | { readonly kind: 'reused' };

/** How long a key is kept. */
const keyLifetimeMs = 24 * 60 * 60 * 1000;

const pruneEveryMs = 60 * 60 * 1000;

const maxKeyLength = 200;

/** Refuses a key that is empty or longer than 200 characters. */
export const checkIdempotencyKey = (key: string): void => {
  if (key.length >= 1 && key.length <= maxKeyLength) return;
  throw new Refusal(
    refusalCode.badUserInput,
    `The idempotency key has ${key.length} characters, but must have from 1 to ${maxKeyLength}.`,
  );
};

/** The refusal for a key that was used with other arguments. */
export const idempotencyKeyReused = (): Refusal =>
  new Refusal(
    refusalCode.idempotencyKeyReused,
    'The idempotency key was used before with other arguments. Use a new key for a new request.',
  );

/**
 * Claims the keys of a batch in the table `idempotency` of the open transaction, in key order and before any other row
 * is locked, so that batches cannot deadlock. A claim of another transaction still open is waited for.
 * Claims are in the order of the commands. `storeAnswers` must follow in the same transaction.
 */
export const claimKeys = async (
  tx: RawTransaction,
  commands: readonly KeyedCommand[],
  now: Date,
): Promise<readonly Claim[]> => {
  if (commands.length === 0) return [];
  const hashes = commands.map(({ operation, arguments: given }) => hashOf([operation, given]));
  const first = new Map<string, number>();
  commands.forEach((command, index) => {
    const id = idOf(command);
    if (!first.has(id)) first.set(id, index);
  });
  const wanted = [...first.values()].map((index) => ({
    viewer_id: commands[index]?.viewerId,
    key: commands[index]?.key,
    operation: commands[index]?.operation,
    arguments_hash: hashes[index],
  }));
  const claimed = await tx.$queryRawUnsafe<readonly { viewer_id: string; key: string }[]>(
    `INSERT INTO idempotency (viewer_id, key, operation, arguments_hash, created_at, expires_at)
     SELECT viewer_id, key, operation, arguments_hash, $2::timestamptz, $3::timestamptz
     FROM jsonb_to_recordset($1::jsonb) AS c (viewer_id text, key text, operation text, arguments_hash text)
     ORDER BY viewer_id COLLATE "C", key COLLATE "C"
     ON CONFLICT (viewer_id, key) DO UPDATE
       SET operation = excluded.operation, arguments_hash = excluded.arguments_hash, answer = NULL,
           created_at = excluded.created_at, expires_at = excluded.expires_at
       WHERE idempotency.expires_at <= $2::timestamptz
     RETURNING viewer_id, key`,
    JSON.stringify(wanted),
    now.toISOString(),
    new Date(now.getTime() + keyLifetimeMs).toISOString(),
  );
  const fresh = new Set(claimed.map((row) => idOf({ viewerId: row.viewer_id, key: row.key })));
  const known = new Map<string, { hash: string; stored: StoredAnswer }>();
  if (fresh.size < wanted.length) {
    const rows = await tx.$queryRawUnsafe<
      readonly { viewer_id: string; key: string; arguments_hash: string; answer: StoredAnswer }[]
    >(
      `SELECT viewer_id, key, arguments_hash, answer FROM idempotency
       WHERE (viewer_id, key) IN (
         SELECT viewer_id, key FROM jsonb_to_recordset($1::jsonb) AS c (viewer_id text, key text))`,
      JSON.stringify(
        wanted.filter((row) => !fresh.has(idOf({ viewerId: row.viewer_id ?? '', key: row.key ?? '' }))),
      ),
    );
    for (const row of rows) {
      known.set(idOf({ viewerId: row.viewer_id, key: row.key }), {
        hash: row.arguments_hash,
        stored: row.answer,
      });
    }
  }
  return commands.map((command, index): Claim => {
    const id = idOf(command);
    const earlier = known.get(id);
    if (earlier) {
      return earlier.hash === hashes[index]
        ? { kind: 'answered', stored: earlier.stored }
        : { kind: 'reused' };
    }
    const firstIndex = first.get(id) ?? index;
    if (firstIndex === index) return { kind: 'fresh' };
    return hashes[firstIndex] === hashes[index] ? { kind: 'same', as: firstIndex } : { kind: 'reused' };
  });
};

/** Stores what the freshly claimed commands ended with, in the transaction that claimed their keys. */
export const storeAnswers = async (
  tx: RawTransaction,
  answers: readonly (readonly [KeyedCommand, StoredAnswer])[],
): Promise<void> => {
  if (answers.length === 0) return;
  await tx.$executeRawUnsafe(
    `UPDATE idempotency SET answer = a.answer
     FROM jsonb_to_recordset($1::jsonb) AS a (viewer_id text, key text, answer jsonb)
     WHERE idempotency.viewer_id = a.viewer_id AND idempotency.key = a.key`,
    JSON.stringify(answers.map(([{ viewerId, key }, answer]) => ({ viewer_id: viewerId, key, answer }))),
  );
};

/**
 * Runs one command under its key in the open transaction: the first time `run`, later the stored answer.
 * A refusal thrown by `run` before it wrote anything is stored as the answer too; any other error undoes the claim.
 */
export const withIdempotency = async <Answer>(
  tx: RawTransaction,
  command: KeyedCommand,
  now: Date,
  run: () => Promise<Answer>,
): Promise<Answer | Refusal> => {
  const [claim] = await claimKeys(tx, [command], now);
  switch (claim?.kind) {
    case 'fresh': {
      const answer = await run().catch((error: unknown) => {
        if (error instanceof Refusal) return error;
        throw error;
      });
      await storeAnswers(tx, [[command, toStored(answer)]]);
      return answer;
    }
    case 'answered':
      return fromStored(claim.stored) as Answer | Refusal;
    default:
      return idempotencyKeyReused();
  }
};

/** An outcome as it is stored. */
export const toStored = (outcome: unknown): StoredAnswer =>
  outcome instanceof Refusal
    ? {
        refusal: {
          code: outcome.code,
          message: outcome.message,
          ...(outcome.details && { details: outcome.details }),
        },
      }
    : { answer: outcome };

/** A stored outcome as it was. */
export const fromStored = (stored: StoredAnswer): unknown =>
  'refusal' in stored
    ? new Refusal(stored.refusal.code, stored.refusal.message, stored.refusal.details)
    : stored.answer;

/** A part that removes expired keys at the start and every hour; a failure is logged, and the next hour tries again. */
export const createKeyPruning = (tx: RawTransaction, clock: Clock, logger: Logger): Part => {
  let timer: NodeJS.Timeout | undefined;
  const prune = () => {
    pruneKeys(tx, clock.now()).catch((error: unknown) => {
      logger.warn({ err: error }, 'expired idempotency keys were not removed');
    });
  };
  return {
    name: 'key pruning',
    start: async () => {
      prune();
      timer = setInterval(prune, pruneEveryMs).unref();
    },
    stop: async () => clearInterval(timer),
  };
};

/** So many keys are removed by one statement: far below what its time-out allows. */
const pruneChunk = 5_000;

/** Removes the keys that have expired, piece by piece; answers how many. Two replicas at once share the work. */
export const pruneKeys = async (tx: RawTransaction, now: Date): Promise<number> => {
  for (let removed = 0; ;) {
    const piece = await tx.$executeRawUnsafe(
      `DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM idempotency WHERE expires_at <= $1::timestamptz LIMIT ${pruneChunk} FOR UPDATE SKIP LOCKED))`,
      now.toISOString(),
    );
    removed += piece;
    if (piece < pruneChunk) return removed;
  }
};

const idOf = ({ viewerId, key }: { viewerId: string; key: string }) => JSON.stringify([viewerId, key]);

const hashOf = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('base64url');

/** JSON with the keys of every object sorted, so that equal arguments give equal text. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0)),
        )
      : inner,
  );
