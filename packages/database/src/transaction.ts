import type pg from 'pg';

/** The part of a Prisma transaction that raw statements need. Every generated client has it. */
export interface RawTransaction {
  $queryRawUnsafe<Rows = unknown>(statement: string, ...values: unknown[]): PromiseLike<Rows>;
  $executeRawUnsafe(statement: string, ...values: unknown[]): PromiseLike<number>;
}

/**
 * Returns a `pg` connection in the form of a Prisma transaction; values and rows are those of `pg`. Each
 * statement is prepared once per connection, because PostgreSQL needs two milliseconds to parse and plan a
 * large one.
 */
export const rawTransaction = (client: pg.ClientBase): RawTransaction => ({
  $queryRawUnsafe: async <Rows>(text: string, ...values: unknown[]) =>
    (await client.query({ name: nameOf(text), text, values })).rows as Rows,
  $executeRawUnsafe: async (text, ...values) =>
    (await client.query({ name: nameOf(text), text, values })).rowCount ?? 0,
});

const names = new Map<string, string>();

/**
 * Returns the name of a prepared statement, or `undefined` after the first 300 texts: a caller that builds a
 * new text each time would fill the connection with prepared statements.
 */
const nameOf = (text: string): string | undefined => {
  const name = names.get(text) ?? (names.size < 300 ? `statement-${names.size + 1}` : undefined);
  if (name !== undefined) names.set(text, name);
  return name;
};

/**
 * Runs `work` in a transaction on a connection of the pool. The transaction is committed when `work` resolves
 * and rolled back when it rejects. If the commit itself fails, for example with a broken connection, the
 * transaction may or may not have been committed.
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
