import { createHash } from 'node:crypto';
import pg from 'pg';
import { partitionsPerTopic, type BrokerOptions } from '../broker.js';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { migrate } from '@cinegraph/database/migrate';

/** The database `events`, which holds the log of `broker-postgres.ts`: reached, prepared, and prepared again when it is new. */
export interface LogStore {
  readonly pool: pg.Pool;
  /**
   * Does `work` on a log that is migrated and has the topics. When the tables turn out to be gone (the database was made
   * anew), they are made and the work is done once more. Rejects when the database is away.
   */
  use<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Makes topics that are missing, besides those that the store was opened with. */
  addTopics(names: Iterable<string>): Promise<void>;
  /** Whether the database answered when it was last asked. */
  answers(): boolean;
}

const migrations = new URL('../../../../prisma/events/migrations/', import.meta.url);

/** No statement on the log takes longer, in milliseconds; an answer that is missing a second later is given up. */
export const statementTimeoutMs = 8_000;

/** How every connection to the log is opened. */
export const connectionOptions = (url: string, clientId: string) => ({
  connectionString: url,
  application_name: `${clientId} log`,
  connectionTimeoutMillis: 4_000,
  statement_timeout: statementTimeoutMs,
  query_timeout: statementTimeoutMs + 1_000,
  keepAlive: true,
});

/** Ends a connection, also one whose other side does not answer any more; never rejects, within about a second. */
export const endClient = async (client: pg.Client): Promise<void> => {
  const cut = setTimeout(() => client.connection.stream.destroy(), 1_000);
  await client.end().catch(() => undefined);
  clearTimeout(cut);
};

/** The tables or the database are not there: somebody made it anew. */
const isGone = (error: unknown): boolean =>
  ['42P01', '3F000', '3D000'].includes(String((error as { code?: unknown } | null)?.code));

/** Opens the log's database at `url`; nothing is asked of it before it is used. */
export const openPostgresStore = ({
  url,
  clientId,
  topics,
  logger,
}: BrokerOptions & { url: string }): LogStore => {
  const pool = new pg.Pool({
    ...connectionOptions(url, clientId),
    max: 4,
    // Whoever holds a topic's lock and falls silent keeps other publishers waiting no longer than this.
    idle_in_transaction_session_timeout: 5_000,
  });
  pool.on('error', () => undefined);
  const definitions = new Map(topics.map((topic) => [topic.name, topic]));
  let answering = false;
  let prepared: Promise<void> | undefined;

  const makeTopics = async (names: Iterable<string>) => {
    // In order: two processes that make the same ones wait for each other, and never in a circle.
    const sorted = [...names].sort();
    const keeps = sorted.map((name) => {
      const retention = definitions.get(name)?.retention;
      return retention && (retention === 'compact' ? 'states' : 'happenings');
    });
    await pool.query(
      `INSERT INTO topic (name, partitions, keeps)
       SELECT name, $3, coalesce(keeps, 'happenings') FROM unnest($1::text[], $2::text[]) AS new(name, keeps)
       ON CONFLICT (name) DO NOTHING`,
      [sorted, keeps, partitionsPerTopic],
    );
    await pool.query(
      `UPDATE topic SET keeps = new.keeps FROM unnest($1::text[], $2::text[]) AS new(name, keeps)
       WHERE topic.name = new.name AND topic.keeps <> new.keeps`,
      [sorted, keeps],
    );
    await pool.query(
      `INSERT INTO partition_end (topic, partition)
       SELECT name, partition FROM topic, generate_series(0, partitions - 1) AS partition WHERE name = ANY ($1)
       ORDER BY name, partition
       ON CONFLICT DO NOTHING`,
      [sorted],
    );
  };

  const prepare = async () => {
    const applied = await migrate({ url, migrations });
    if (applied.length > 0) logger.info({ applied }, 'migrations of the log applied');
    await makeTopics(definitions.keys());
  };

  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const current = (prepared ??= prepare());
    try {
      await current;
      const result = await work();
      answering = true;
      return result;
    } catch (error) {
      const unprepared = isGone(error) || (await current.then(() => false).catch(() => true));
      if (unprepared && prepared === current) prepared = undefined;
      if (unprepared || isUnavailable(error)) answering = false;
      throw error;
    }
  };

  return {
    pool,
    use: (work) =>
      attempt(work).catch((error: unknown) => {
        if (isGone(error)) return attempt(work);
        throw error;
      }),
    addTopics: makeTopics,
    answers: () => answering,
  };
};

/**
 * Does `work` on a connection of the pool for itself. When it fails, the connection is closed, and with it a transaction that
 * was open and locks that were held.
 */
export const withConnection = async <Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> => {
  const client = await pool.connect();
  // One that breaks between two statements says so by an event, which would end the process if nobody heard it.
  const ignore = () => undefined;
  client.on('error', ignore);
  let failed = true;
  try {
    const result = await work(client);
    failed = false;
    return result;
  } finally {
    client.off('error', ignore);
    client.release(failed);
  }
};

/** The number of an advisory lock, as PostgreSQL takes it: 64 bits of a hash of what it stands for. */
export const lockNumber = (...what: readonly (string | number)[]): string =>
  createHash('sha256').update(JSON.stringify(what)).digest().readBigInt64BE(0).toString();

/** The channels on which those who wait are woken: of new messages (payload: the topic), and of a group's members (the group). */
export const channels = { messages: 'log_messages', members: 'log_members' } as const;

/** What a log line says when messages are lost and the position of a group behind them was kept. */
export const beyondEnd =
  'a group had read more than the log has: its messages are lost, and the group goes on with the oldest that there is';
