import type pg from 'pg';

/** The part of a Prisma transaction that raw statements need; each subgraph's generated client has it. */
export interface RawTransaction {
  $queryRawUnsafe<Rows = unknown>(statement: string, ...values: unknown[]): PromiseLike<Rows>;
  $executeRawUnsafe(statement: string, ...values: unknown[]): PromiseLike<number>;
}

/**
 * A connection as the statements of a transaction see it; values and rows are as `pg` has them. Statements are prepared once a
 * connection: a large one takes PostgreSQL two milliseconds to parse and plan.
 */
export const rawTransaction = (client: pg.ClientBase): RawTransaction => ({
  $queryRawUnsafe: async <Rows>(text: string, ...values: unknown[]) =>
    (await client.query({ name: nameOf(text), text, values })).rows as Rows,
  $executeRawUnsafe: async (text, ...values) =>
    (await client.query({ name: nameOf(text), text, values })).rowCount ?? 0,
});

const names = new Map<string, string>();

/** The name of a prepared statement; none, which prepares nothing, behind the first few hundred: whoever makes texts anew each time has no use for it. */
const nameOf = (text: string): string | undefined => {
  const name = names.get(text) ?? (names.size < 300 ? `statement-${names.size + 1}` : undefined);
  if (name !== undefined) names.set(text, name);
  return name;
};

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
