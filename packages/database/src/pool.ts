import pg from 'pg';
import { StartError } from '@cinegraph/service/start-error';
import type { Logger } from '@cinegraph/service/logger';
import { migrate } from './migrate.js';
import type { Part } from '@cinegraph/service/parts';

/** A service's one pool: Prisma's adapter and hand-written statements share it. */
export interface Database {
  readonly pool: pg.Pool;
  readonly part: Part;
  /** Whether the store answers within a second. */
  answers(): Promise<boolean>;
}

/**
 * For sessions that keep what is prepared, and with it plans, while their tables grow: one that was made for an empty table reads
 * all of it, and goes on to when it has a million rows. By the indexes it is right for any number.
 */
export const byIndexesSql = 'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off';

/**
 * A further pool on the database of `pool`, for work that must not keep the rest waiting: it has few connections of its
 * own and cuts its statements off at another time. Whoever opens it ends it.
 */
export const openSidePool = (
  pool: pg.Pool,
  options: {
    readonly maxConnections: number;
    readonly statementTimeoutMs: number;
    /** How long to wait for a locked row; as `pool` does unless told. */
    readonly lockTimeoutMs?: number;
    /** How long to wait for a connection; as `pool` does unless told. */
    readonly connectTimeoutMs?: number;
    /** Said on each new connection before anything else. */
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
  // As in openDatabase; the pool that all other work goes over says that the store is away.
  side.on('error', () => undefined);
  surviveBreaks(side);
  return side;
};

/** The pool waits for what it answers, and gives up a connection on which it fails. */
const setUp =
  (sql: string) =>
  (client: pg.ClientBase): unknown =>
    client.query(sql);

/**
 * A connection may break between two statements of whoever has it, even before that one could listen; without a listener
 * that ends the process. The next statement on it tells.
 */
const surviveBreaks = (pool: pg.Pool): void => {
  pool.on('connect', (client) => client.on('error', () => undefined));
};

/**
 * Opens the pool on `url` (PostgreSQL 15 or later). Started as a part, it applies the migrations of `migrations` that
 * are missing, safely beside other replicas. No statement runs longer than `statementTimeoutMs` (0: no limit), and an answer
 * that does not come within a second more is given up, so that a cut network is noticed; nobody waits longer than
 * `lockTimeoutMs` for a locked row, or than two seconds for a connection: what is exhausted is told, not waited for.
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
  // An idle connection that breaks is replaced at its next use; without a listener it would end the process.
  pool.on('error', (error) => logger.warn({ err: error }, 'an idle database connection broke'));
  surviveBreaks(pool);

  return {
    pool,
    answers: async () => {
      const timeout = new Promise<false>((resolve) => setTimeout(resolve, 1_000, false).unref());
      const asked = pool.query('SELECT 1').then(
        () => true,
        () => false,
      );
      return Promise.race([asked, timeout]);
    },
    part: {
      name: 'database',
      start: async () => {
        try {
          const applied = await migrate({ url, migrations });
          if (applied.length > 0) logger.info({ applied }, 'migrations applied');
        } catch (error) {
          if (error instanceof StartError) throw error;
          throw new StartError(
            `The database of ${name} cannot be prepared: ${error instanceof Error ? error.message : String(error)}`,
            { cause: error },
          );
        }
      },
      stop: () => pool.end(),
    },
  };
};
