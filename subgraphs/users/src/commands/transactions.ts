import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import type { Clock } from '@cinegraph/service/clock';
import { Refusal } from '@cinegraph/service/refusal';
import { checkIdempotencyKey, withIdempotency, type KeyedCommand } from '@cinegraph/subgraph/idempotency';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';

/** Who sends a command, and the idempotency key that the sender chose for it, or null. */
export interface Sender {
  readonly viewerId: string;
  readonly idempotencyKey: string | null;
}

/** A command as its idempotency key is compared by. Passwords are never among the arguments. */
export interface Command extends Pick<KeyedCommand, 'operation' | 'arguments'> {
  readonly sender: Sender;
}

/** Runs commands as transactions. */
export interface Transactions {
  /** Runs `work` in a transaction, and again after a deadlock. */
  run<Result>(work: (tx: Prisma.TransactionClient, now: Date) => Promise<Result>): Promise<Result>;
  /**
   * Executes a command once for its idempotency key. `prepare` is what may take long, such as a hash, and
   * must not hold a connection; `write` is one transaction. If the key was used before, neither is called. No
   * refusal is stored, so that the same command may be sent again under its key.
   */
  runKeyed<Prepared, Answer>(
    command: Command,
    prepare: () => Promise<Prepared>,
    write: (tx: Prisma.TransactionClient, now: Date, prepared: Prepared) => Promise<Answer>,
  ): Promise<Answer>;
}

/** Thrown to undo the claim of a key that is free. */
const keyIsFree = new Error('the idempotency key is free');

/** Creates the transactions on the database of users. */
export const createTransactions = (prisma: PrismaClient, clock: Clock): Transactions => {
  const run: Transactions['run'] = (work) =>
    retryOnConflict(() =>
      prisma.$transaction((tx) => work(tx, clock.now()), { maxWait: 2_000, timeout: 10_000 }),
    );
  const once = async <Answer>(
    keyed: KeyedCommand,
    work: (tx: Prisma.TransactionClient, now: Date) => Promise<Answer>,
  ): Promise<Answer> => {
    const outcome = await run((tx, now) =>
      withIdempotency(tx, keyed, now, () => work(tx, now), { isFinal: () => false }),
    );
    if (outcome instanceof Refusal) throw outcome;
    return outcome;
  };
  return {
    run,
    runKeyed: async (command, prepare, write) => {
      const { sender, operation, arguments: values } = command;
      const { viewerId, idempotencyKey: key } = sender;
      if (key === null) {
        const prepared = await prepare();
        return run((tx, now) => write(tx, now, prepared));
      }
      checkIdempotencyKey(key);
      const keyed = { viewerId, key, operation, arguments: values };
      try {
        return await once(keyed, () => Promise.reject(keyIsFree));
      } catch (error) {
        if (error !== keyIsFree) throw error;
      }
      const prepared = await prepare();
      return once(keyed, (tx, now) => write(tx, now, prepared));
    },
  };
};
