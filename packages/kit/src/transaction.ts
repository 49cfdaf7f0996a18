import type pg from 'pg';
import type { RawTransaction } from './idempotency.js';

/** A connection as the statements of a transaction see it; values and rows are as `pg` has them. */
export const rawTransaction = (client: pg.ClientBase): RawTransaction => ({
  $queryRawUnsafe: async <Rows>(statement: string, ...values: unknown[]) =>
    (await client.query(statement, values)).rows as Rows,
  $executeRawUnsafe: async (statement, ...values) => (await client.query(statement, values)).rowCount ?? 0,
});

/**
 * Runs `work` in a transaction on a connection of the pool: committed when it resolves, rolled back when it rejects. When
 * the commit itself fails, as with a connection cut meanwhile, what was done may or may not stand.
 */
export const inTransaction = async <Result>(
  pool: pg.Pool,
  work: (tx: RawTransaction) => Promise<Result>,
): Promise<Result> => {
  const client = await pool.connect();
  let broken = false;
  // Without a listener a connection that breaks between two statements would end the process; the next statement tells.
  const noted = () => (broken = true);
  client.on('error', noted);
  try {
    await client.query('BEGIN');
    const result = await work(rawTransaction(client));
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(noted);
    throw error;
  } finally {
    client.off('error', noted);
    client.release(broken);
  }
};
