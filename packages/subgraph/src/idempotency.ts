import { createHash } from 'node:crypto';
import { createPruning, pruneTable } from '@cinegraph/database/prune';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { refusalCode, Refusal, type RefusalDetails } from '@cinegraph/service/refusal';

/** The idempotency key of a command, and what the command is compared by when the key is sent again. */
export interface KeyedCommand {
  readonly viewerId: string;
  readonly key: string;
  readonly operation: string;
  /** The arguments of the command. A hash of their canonical JSON is stored and compared. */
  readonly arguments: unknown;
}

/** How long a key is kept. */
const keyLifetimeMs = 24 * 60 * 60 * 1000;

const maxKeyLength = 200;

/** Refuses a key that is empty or longer than 200 characters. */
export const checkIdempotencyKey = (key: string): void => {
  if (key.length >= 1 && key.length <= maxKeyLength) return;
  throw new Refusal(
    refusalCode.badUserInput,
    `The idempotency key has ${key.length} characters, but must have from 1 to ${maxKeyLength}.`,
    { field: 'idempotencyKey' },
  );
};

/**
 * Executes a batch of commands in the open transaction, and each idempotency key at most once. `run` gets
 * the commands without a key and those whose key is new, and returns one outcome for each, in order; it is
 * not called for none. A command whose key was used before for the same gets the stored outcome, and a
 * refusal if it was used for something else. The outcomes are in the order of `commands`. A refusal is
 * stored like an answer, unless `isFinal` returns false for it: then its key is free again. Call it before
 * any other row is locked: keys are claimed in key order, so that two batches cannot deadlock. An error of
 * `run` undoes the claims.
 */
export const answerBatch = async <Command extends { readonly keyed: KeyedCommand | null }, Answer>(
  tx: RawTransaction,
  commands: readonly Command[],
  now: Date,
  run: (commands: readonly Command[]) => Promise<readonly (Answer | Refusal)[]>,
  { isFinal = () => true }: { readonly isFinal?: (refusal: Refusal) => boolean } = {},
): Promise<readonly (Answer | Refusal)[]> => {
  const claims = await claimKeys(
    tx,
    commands.map(({ keyed }) => keyed),
    now,
  );
  const fresh = commands.filter((_command, index) => claims[index]?.kind === 'fresh');
  const answers = fresh.length === 0 ? [] : await run(fresh);
  if (answers.length !== fresh.length) throw new Error('a batch did not give one outcome for each command');
  const claimed = answers.flatMap((outcome, position) => {
    const keyed = fresh[position]?.keyed;
    return keyed ? [{ keyed, outcome }] : [];
  });
  const isStored = ({ outcome }: { readonly outcome: unknown }) =>
    !(outcome instanceof Refusal) || isFinal(outcome);
  await storeAnswers(
    tx,
    claimed.filter(isStored).map(({ keyed, outcome }) => [keyed, toStored(outcome)]),
  );
  await releaseKeys(
    tx,
    claimed.filter((one) => !isStored(one)).map(({ keyed }) => keyed),
  );
  const next = answers.values();
  const outcomes: (Answer | Refusal)[] = [];
  for (const claim of claims) {
    switch (claim.kind) {
      case 'fresh':
        outcomes.push(next.next().value as Answer | Refusal);
        break;
      case 'answered':
        outcomes.push(fromStored(claim.stored) as Answer | Refusal);
        break;
      case 'same':
        outcomes.push(outcomes[claim.as] as Answer | Refusal);
        break;
      case 'reused':
        outcomes.push(idempotencyKeyReused());
    }
  }
  return outcomes;
};

/**
 * Executes one command under its key, as `answerBatch` does. A refusal that `run` throws before it wrote
 * anything is stored as the outcome and returned. Any other error undoes the claim of the key, and so does a
 * refusal for which `isFinal` returns false: it is thrown.
 */
export const withIdempotency = async <Answer>(
  tx: RawTransaction,
  command: KeyedCommand,
  now: Date,
  run: () => Promise<Answer>,
  { isFinal = () => true }: { readonly isFinal?: (refusal: Refusal) => boolean } = {},
): Promise<Answer | Refusal> => {
  const [outcome] = await answerBatch(tx, [{ keyed: command }], now, async () => [
    await run().catch((error: unknown) => {
      if (error instanceof Refusal && isFinal(error)) return error;
      throw error;
    }),
  ]);
  return outcome as Answer | Refusal;
};

/** Creates a part that deletes expired keys at its start and every hour. Two replicas share the work. */
export const createKeyPruning = (tx: RawTransaction, clock: Clock, logger: Logger): Part =>
  createPruning({
    name: 'pruning of idempotency keys',
    prune: () => pruneTable(tx, 'idempotency', 'expires_at <= $1::timestamptz', clock.now()),
    logger,
  });

/** The outcome of a command as it is stored: its answer as plain JSON, or its refusal. */
type StoredAnswer =
  | { readonly answer: unknown }
  | {
      readonly refusal: {
        readonly code: string;
        readonly message: string;
        readonly details?: RefusalDetails;
      };
    };

/**
 * What is known of the key of a command. `fresh`: this transaction claimed it, or there is no key.
 * `answered`: an earlier transaction stored an outcome. `same`: the earlier command `as` of this batch has
 * the same key and arguments. `reused`: the key was used for something else.
 */
type Claim =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'answered'; readonly stored: StoredAnswer }
  | { readonly kind: 'same'; readonly as: number }
  | { readonly kind: 'reused' };

/** A row of the table `idempotency` that a command wants to insert. */
interface KeyRow {
  readonly viewer_id: string;
  readonly key: string;
  readonly operation: string;
  readonly arguments_hash: string;
}

/** Claims the keys of a batch; the claims are in the order of the commands. */
const claimKeys = async (
  tx: RawTransaction,
  commands: readonly (KeyedCommand | null)[],
  now: Date,
): Promise<readonly Claim[]> => {
  const rows = commands.map((command) => command && toRow(command));
  const first = new Map<string, { readonly index: number; readonly row: KeyRow }>();
  rows.forEach((row, index) => {
    if (row && !first.has(idOf(row))) first.set(idOf(row), { index, row });
  });
  const requested = [...first.values()].map(({ row }) => row);
  const inserted = await insertKeys(tx, requested, now);
  const stored = await readAnswers(
    tx,
    requested.filter((row) => !inserted.has(idOf(row))),
  );
  return rows.map((row, index): Claim => {
    if (!row) return { kind: 'fresh' };
    const earlier = stored.get(idOf(row));
    if (earlier) {
      return earlier.arguments_hash === row.arguments_hash
        ? { kind: 'answered', stored: earlier.answer }
        : { kind: 'reused' };
    }
    const use = first.get(idOf(row));
    if (!use || use.index === index) return { kind: 'fresh' };
    return use.row.arguments_hash === row.arguments_hash
      ? { kind: 'same', as: use.index }
      : { kind: 'reused' };
  });
};

/**
 * Inserts keys in key order, and replaces expired ones. Returns the ids of those that were free. If another
 * open transaction has claimed one of them, it waits for the end of that transaction.
 */
const insertKeys = async (
  tx: RawTransaction,
  rows: readonly KeyRow[],
  now: Date,
): Promise<ReadonlySet<string>> => {
  if (rows.length === 0) return new Set();
  const inserted = await tx.$queryRawUnsafe<readonly Pick<KeyRow, 'viewer_id' | 'key'>[]>(
    `INSERT INTO idempotency (viewer_id, key, operation, arguments_hash, created_at, expires_at)
     SELECT viewer_id, key, operation, arguments_hash, $2::timestamptz, $3::timestamptz
     FROM jsonb_to_recordset($1::jsonb) AS c (viewer_id text, key text, operation text, arguments_hash text)
     ORDER BY viewer_id COLLATE "C", key COLLATE "C"
     ON CONFLICT (viewer_id, key) DO UPDATE
       SET operation = excluded.operation, arguments_hash = excluded.arguments_hash, answer = NULL,
           created_at = excluded.created_at, expires_at = excluded.expires_at
       WHERE idempotency.expires_at <= $2::timestamptz
     RETURNING viewer_id, key`,
    JSON.stringify(rows),
    now.toISOString(),
    new Date(now.getTime() + keyLifetimeMs).toISOString(),
  );
  return new Set(inserted.map(idOf));
};

type AnsweredRow = Omit<KeyRow, 'operation'> & { readonly answer: StoredAnswer };

const readAnswers = async (
  tx: RawTransaction,
  rows: readonly KeyRow[],
): Promise<ReadonlyMap<string, AnsweredRow>> => {
  if (rows.length === 0) return new Map();
  const answered = await tx.$queryRawUnsafe<readonly AnsweredRow[]>(
    `SELECT viewer_id, key, arguments_hash, answer FROM idempotency
     WHERE (viewer_id, key) IN (
       SELECT viewer_id, key FROM jsonb_to_recordset($1::jsonb) AS c (viewer_id text, key text))`,
    JSON.stringify(rows),
  );
  return new Map(answered.map((row) => [idOf(row), row]));
};

/** Stores the outcomes of freshly claimed commands, in the transaction that claimed their keys. */
const storeAnswers = async (
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

/** Deletes keys that this transaction claimed. */
const releaseKeys = async (tx: RawTransaction, keys: readonly KeyedCommand[]): Promise<void> => {
  if (keys.length === 0) return;
  await tx.$executeRawUnsafe(
    `DELETE FROM idempotency USING jsonb_to_recordset($1::jsonb) AS r (viewer_id text, key text)
     WHERE idempotency.viewer_id = r.viewer_id AND idempotency.key = r.key`,
    JSON.stringify(keys.map(({ viewerId, key }) => ({ viewer_id: viewerId, key }))),
  );
};

const toStored = (outcome: unknown): StoredAnswer =>
  outcome instanceof Refusal
    ? {
        refusal: {
          code: outcome.code,
          message: outcome.message,
          ...(outcome.details && { details: outcome.details }),
        },
      }
    : { answer: outcome };

const fromStored = (stored: StoredAnswer): unknown =>
  'refusal' in stored
    ? new Refusal(stored.refusal.code, stored.refusal.message, stored.refusal.details)
    : stored.answer;

const idempotencyKeyReused = (): Refusal =>
  new Refusal(
    refusalCode.idempotencyKeyReused,
    'The idempotency key was used before with other arguments. Use a new key for a new request.',
  );

const toRow = ({ viewerId, key, operation, arguments: values }: KeyedCommand): KeyRow => ({
  viewer_id: viewerId,
  key,
  operation,
  arguments_hash: hashOf([operation, values]),
});

const idOf = ({ viewer_id, key }: Pick<KeyRow, 'viewer_id' | 'key'>) => JSON.stringify([viewer_id, key]);

const hashOf = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('base64url');

/** Returns JSON with the keys of every object sorted, so that equal arguments give equal text. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0)),
        )
      : inner,
  );
