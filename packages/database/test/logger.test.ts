import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';

let database: TestDatabase;
beforeAll(async () => {
  const migrations = new URL('../../../prisma/events/migrations/', import.meta.url);
  database = await testDatabase({ name: 'events', migrations });
  const pool = testPool(database.url);
  await pool.query(`
    CREATE TABLE orders (buyer text PRIMARY KEY, price int CHECK (price > 0));
    CREATE FUNCTION buy_again() RETURNS void LANGUAGE plpgsql AS $$
      BEGIN EXECUTE 'INSERT INTO orders VALUES (''Ann Secret'', 1 / 0)'; END $$;
    INSERT INTO orders VALUES ('Ann Secret', 1)`);
  await pool.end();
});
afterAll(() => database.drop());

/**
 * Logs, in a separate process, the errors of these statements over a connection of `pg` and over Prisma's.
 * Returns the log lines.
 */
const logFailuresOf = async (statements: readonly string[]) => {
  const script = `
    import pg from 'pg';
    import { PrismaPg } from '@prisma/adapter-pg';
    const { createLogger } = await import('@cinegraph/service/logger');
    const [url, ...statements] = process.argv.slice(1);
    const logger = createLogger({ name: 'orders', level: 'info' });
    const pool = new pg.Pool({ connectionString: url });
    const prisma = await new PrismaPg(pool).connect();
    for (const sql of statements) {
      await pool.query(sql).catch((error) => {
        logger.error({ err: error }, 'failed');
        logger.child({ part: 'till' }).warn({ err: new AggregateError([error], 'twice', { cause: error }) }, 'failed');
      });
      await prisma.executeRaw({ sql, args: [], argTypes: [] }).catch((error) => {
        logger.error({ err: Object.assign(new Error('wrapped'), { meta: { origin: error, time: new Date(0) } }) }, 'failed');
      });
    }
    const circle = new Error('circle');
    circle.self = { circle: [circle] };
    logger.error({ err: circle }, 'failed');
    await pool.end();`;
  const args = ['--input-type=module', '-e', script, database.url, ...statements];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout.trim().split('\n');
};

it('logs how a statement failed, and nothing of the row that it failed on', async () => {
  const lines = await logFailuresOf([
    `INSERT INTO orders VALUES ('Ann Secret', 2)`,
    `INSERT INTO orders VALUES ('Bob Secret', -2)`,
    'SELECT buy_again()',
  ]);
  expect(lines.join('\n')).not.toMatch(/Secret/);
  const errors = lines.map((line) => (JSON.parse(line) as { err: Record<string, unknown> }).err);
  expect(errors).toHaveLength(10);
  const duplicate = {
    type: 'DatabaseError',
    message: expect.stringContaining('duplicate key value violates unique constraint'),
    stack: expect.any(String),
    ...{ code: '23505', table: 'orders', constraint: 'orders_pkey' },
  };
  expect(errors[0]).toMatchObject(duplicate);
  expect(errors[1]).toMatchObject({
    message: expect.stringContaining('twice'),
    aggregateErrors: [duplicate],
  });
  expect(errors[2]).toMatchObject({
    message: 'wrapped',
    meta: { origin: { cause: { originalCode: '23505' } }, time: '1970-01-01T00:00:00.000Z' },
  });
  expect(errors[3]).toMatchObject({ code: '23514', constraint: 'orders_price_check' });
  expect(errors[6]).toMatchObject({ code: '22012', message: 'division by zero' });
  expect(errors[9]).toMatchObject({ message: 'circle' });
});
