import type { MigrationSet } from '@cinegraph/database/migrate';
import type pg from 'pg';
import { isConflict } from '@cinegraph/database/store-errors';
import type { RawTransaction } from '@cinegraph/database/transaction';
import { inTransaction } from '@cinegraph/database/transaction';

/** Publishes the current state in a subgraph's database to a topic that was created after the tables. */
export interface Backfill {
  readonly subgraph: string;
  readonly migrations: readonly MigrationSet[];
  readonly topic: string;
  /** What the report calls the published items, in the plural. */
  readonly items: string;
  /** A query for the first $2 keys after $1 in order, in the column `key`. It locks nothing. */
  readonly keys: string;
  /**
   * A statement that takes the locks that a change of the keys $1 (text[]) takes, and appends an event with
   * the current state of each to the outbox. The locks keep the events of a key in the order of its versions.
   */
  readonly append: string;
}

/** How many keys one transaction locks and appends. */
const chunkSize = 500;

const maxAttempts = 10;

/** The values of the column `through`: the last key that was appended, or that the backfill is finished. */
const finished = 'finished';
const resumeAfter = (key: string): string => `behind ${key}`;

/**
 * Runs the backfill from where it stopped, and returns how many keys it appended; undefined if it was
 * finished before.
 */
export const backfill = async (pool: pg.Pool, definition: Backfill): Promise<number | undefined> => {
  let appended = 0;
  for (;;) {
    const chunk = await backfillRetrying(pool, definition);
    if (chunk === undefined) return appended === 0 ? undefined : appended;
    appended += chunk;
    if (chunk < chunkSize) return appended;
  }
};

const backfillRetrying = async (pool: pg.Pool, definition: Backfill): Promise<number | undefined> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inTransaction(pool, (tx) => backfillChunk(tx, definition));
    } catch (error) {
      if (attempt >= maxAttempts || !isConflict(error)) throw error;
    }
  }
};

/** Returns how many keys were appended, or undefined if the backfill is finished. */
const backfillChunk = async (
  tx: RawTransaction,
  { topic, keys, append }: Backfill,
): Promise<number | undefined> => {
  await tx.$executeRawUnsafe(
    'INSERT INTO messaging.backfill (topic, through) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    topic,
    resumeAfter(''),
  );
  // The row lock makes concurrent runs take turns, chunk by chunk.
  const [progress] = await tx.$queryRawUnsafe<readonly { through: string }[]>(
    'SELECT through FROM messaging.backfill WHERE topic = $1 FOR UPDATE',
    topic,
  );
  const through = progress?.through ?? resumeAfter('');
  if (through === finished) return undefined;
  const rows = await tx.$queryRawUnsafe<readonly { key: string }[]>(
    keys,
    through.slice(resumeAfter('').length),
    chunkSize,
  );
  if (rows.length > 0) {
    await tx.$executeRawUnsafe(
      append,
      rows.map(({ key }) => key),
    );
  }
  await tx.$executeRawUnsafe(
    'UPDATE messaging.backfill SET through = $2 WHERE topic = $1',
    topic,
    rows.length < chunkSize ? finished : resumeAfter(rows.at(-1)?.key ?? ''),
  );
  return rows.length;
};
