import type pg from 'pg';
import type { RawTransaction } from './idempotency.js';

/** A connection as the statements of a transaction see it; values and rows are as `pg` has them. */
export const rawTransaction = (client: pg.ClientBase): RawTransaction => ({
  $queryRawUnsafe: async <Rows>(statement: string, ...values: unknown[]) =>
    (await client.query(statement, values)).rows as Rows,
  $executeRawUnsafe: async (statement, ...values) => (await client.query(statement, values)).rowCount ?? 0,
});

/**
 * Runs `work` in a transaction on a connection of a pool that database.ts opened: committed when it resolves, rolled back when it rejects. When
 * the commit itself fails, as with a connection cut meanwhile, what was done may or may not stand.
 */
export const inTransaction = async <Result>(
  pool: pg.Pool,
  work: (tx: RawTransaction) => Promise<Result>,
): Promise<Result> => {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query('BEGIN');
    const result = await work(rawTransaction(client));
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => (broken = true));
    throw error;
  } finally {
    client.release(broken);
  }
};
