import type { MigrationSet } from '@cinegraph/database/migrate';
import type pg from 'pg';
import { isConflict } from '@cinegraph/database/store-errors';
import type { RawTransaction } from '@cinegraph/database/transaction';
import { inTransaction } from '@cinegraph/database/transaction';

/** How the present state in one subgraph's database is told to a topic that is younger than its tables. */
export interface Backfill {
  readonly subgraph: string;
  readonly migrations: readonly MigrationSet[];
  readonly topic: string;
  /** What is announced, in the plural. */
  readonly items: string;
  /** SQL: the column `key` of the first $2 keys behind $1, all of them behind an empty one, in order; nothing is locked. */
  readonly keys: string;
  /**
   * SQL: locks the rows of the keys $1 (text[]) as whoever changes them does, and appends an event of the present state of
   * each to the outbox. Behind the locks the events of a key stay in order of its versions.
   */
  readonly tell: string;
}

/** So many keys are locked and told in one transaction. */
const chunkSize = 500;

const maxAttempts = 10;

/** What the table `announcement` says of a topic: behind which key to go on, or that all was told. */
const finished = 'finished';
const behind = (key: string): string => `behind ${key}`;

/** The announcement itself; answers how many keys it told, or undefined when all had been told before. */
export const backfill = async (pool: pg.Pool, definition: Backfill): Promise<number | undefined> => {
  let told = 0;
  for (;;) {
    const chunk = await backfillRetrying(pool, definition);
    if (chunk === undefined) return told === 0 ? undefined : told;
    told += chunk;
    if (chunk < chunkSize) return told;
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

/** Answers how many keys were told, or undefined when there is nothing to do any more. */
const backfillChunk = async (
  tx: RawTransaction,
  { topic, keys, tell }: Backfill,
): Promise<number | undefined> => {
  await tx.$executeRawUnsafe(
    'INSERT INTO messaging.backfill (topic, through) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    topic,
    behind(''),
  );
  // Two runs take turns, chunk by chunk.
  const [progress] = await tx.$queryRawUnsafe<readonly { through: string }[]>(
    'SELECT through FROM messaging.backfill WHERE topic = $1 FOR UPDATE',
    topic,
  );
  const through = progress?.through ?? behind('');
  if (through === finished) return undefined;
  const rows = await tx.$queryRawUnsafe<readonly { key: string }[]>(
    keys,
    through.slice(behind('').length),
    chunkSize,
  );
  if (rows.length > 0) {
    await tx.$executeRawUnsafe(
      tell,
      rows.map(({ key }) => key),
    );
  }
  await tx.$executeRawUnsafe(
    'UPDATE messaging.backfill SET through = $2 WHERE topic = $1',
    topic,
    rows.length < chunkSize ? finished : behind(rows.at(-1)?.key ?? ''),
  );
  return rows.length;
};
