import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import type { Logger } from '@cinegraph/service/logger';
import { migrate } from './migrate.js';
import type { Part } from '@cinegraph/service/parts';
import { reasonOf } from '@cinegraph/service/terminal';

/** The connection pool of a service. Prisma's adapter and hand-written statements share it. */
export interface Database {
  readonly pool: pg.Pool;
  readonly part: Part;
  /** Whether the database answers within a second. */
  answers(): Promise<boolean>;
}

/**
 * Makes a session's plans use indexes. It is for sessions that keep prepared statements while their tables
 * grow: a plan that was made for an empty table scans it, and would still do so when the table has a million
 * rows.
 */
export const byIndexesSql = 'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off';

/**
 * Opens another pool on the database of `pool`, for work that must not use up the connections of the rest. It
 * has limits of its own; those that are not given are those of `pool`. The caller ends it.
 */
export const openSidePool = (
  pool: pg.Pool,
  options: {
    readonly maxConnections: number;
    readonly statementTimeoutMs: number;
    /** How long a statement waits for a lock. */
    readonly lockTimeoutMs?: number;
    /** How long to wait for a connection. */
    readonly connectTimeoutMs?: number;
    /** SQL that is executed first on each new connection. */
    readonly sessionSql?: string;
  },
): pg.Pool => {
  const { maxConnections, statementTimeoutMs, lockTimeoutMs, connectTimeoutMs, sessionSql } = options;
  const side = new pg.Pool({
    ...pool.options,
    max: maxConnections,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 1_000,
    ...(lockTimeoutMs !== undefined && { lock_timeout: lockTimeoutMs }),
    ...(connectTimeoutMs !== undefined && { connectionTimeoutMillis: connectTimeoutMs }),
    ...(sessionSql !== undefined && { onConnect: setUp(sessionSql) }),
  });
  // The main pool logs that the database is unavailable.
  side.on('error', () => undefined);
  ignoreBrokenConnections(side);
  return side;
};

/**
 * Returns the hook for new connections. The pool waits for its promise, and drops the connection if it
 * rejects.
 */
const setUp =
  (sql: string) =>
  (client: pg.ClientBase): unknown =>
    client.query(sql);

/**
 * Keeps the process alive when a connection breaks between two statements: without a listener for the error,
 * it would end. The next statement on that connection fails.
 */
const ignoreBrokenConnections = (pool: pg.Pool): void => {
  pool.on('connect', (client) => client.on('error', () => undefined));
};

/**
 * Opens the pool on `url` (PostgreSQL 15 or later). Its part applies the missing migrations when it is
 * started; replicas may start at the same time.
 *
 * Every wait is bounded: a statement runs at most `statementTimeoutMs` (0 means no limit), waits at most
 * `lockTimeoutMs` for a lock, and waits at most two seconds for a connection. A statement without an answer
 * one second after its limit fails, so that a broken network is noticed.
 */
export const openDatabase = (options: {
  url: string;
  name: string;
  migrations: URL;
  logger: Logger;
  maxConnections?: number;
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
}): Database => {
  const { url, name, migrations, logger } = options;
  const { maxConnections = 10, statementTimeoutMs = 5_000, lockTimeoutMs = 2_000 } = options;
  const pool = new pg.Pool({
    connectionString: url,
    application_name: name,
    max: maxConnections,
    connectionTimeoutMillis: 2_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + 1_000,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: 10_000,
    keepAlive: true,
  });
  // The pool replaces an idle connection that broke; without a listener the error would end the process.
  pool.on('error', (error) => logger.warn({ err: error }, 'an idle database connection broke'));
  ignoreBrokenConnections(pool);

  return {
    pool,
    answers: async () => {
      const timeout = new Promise<false>((resolve) => setTimeout(resolve, 1_000, false).unref());
      const answered = pool.query('SELECT 1').then(
        () => true,
        () => false,
      );
      return Promise.race([answered, timeout]);
    },
    part: {
      name: 'database',
      start: async () => {
        try {
          const applied = await migrate({ url, migrations });
          if (applied.length > 0) logger.info({ applied }, 'migrations applied');
        } catch (error) {
          if (error instanceof StartError) throw error;
          throw new StartError(`The database of ${name} cannot be prepared: ${reasonOf(error)}`, {
            cause: error,
          });
        }
      },
      stop: () => pool.end(),
    },
  };
};
