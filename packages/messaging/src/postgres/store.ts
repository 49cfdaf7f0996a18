import { createHash } from 'node:crypto';
import pg from 'pg';
import { partitionsPerTopic, type BrokerOptions } from '../broker.js';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { migrate } from '@cinegraph/database/migrate';

/** The event database, which holds the topics, messages and committed offsets of the PostgreSQL broker. */
export interface PostgresStore {
  readonly pool: pg.Pool;
  /**
   * Applies the migrations and creates the topics if that is not done yet, and then runs `work`. If the
   * tables are missing because the database was created again meanwhile, prepares it once more and runs
   * `work` again. Rejects when the database is unavailable.
   */
  use<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Creates those of the topics that are missing. */
  addTopics(names: Iterable<string>): Promise<void>;
  /** Returns whether the last access to the database succeeded. */
  answers(): boolean;
}

const migrations = new URL('../../../../prisma/events/migrations/', import.meta.url);

/** The values of the column `keeps` of table `topic`. */
const keepsOf = { time: 'happenings', compact: 'states' } as const;

/** The server cancels a longer statement; the client stops waiting for its result one second later. */
const statementTimeoutMs = 8_000;

/** Closes a connection within about a second, even if the server does not respond; never rejects. */
export const endClient = async (client: pg.Client): Promise<void> => {
  const cut = setTimeout(() => client.connection.stream.destroy(), 1_000);
  await client.end().catch(() => undefined);
  clearTimeout(cut);
};

/** Returns true when a table, the schema or the database is missing: it was dropped. */
const isMissing = (error: unknown): boolean =>
  ['42P01', '3F000', '3D000'].includes(String((error as { code?: unknown } | null)?.code));

/** Creates the pool of the event database at `url`; connects at the first use. */
export const openPostgresStore = ({
  url,
  clientId,
  topics,
  logger,
}: BrokerOptions & { url: string }): PostgresStore => {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: `${clientId} log`,
    connectionTimeoutMillis: 4_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 1_000,
    keepAlive: true,
    max: 4,
    // How long a process that freezes inside a transaction can block other publishers of its topics.
    idle_in_transaction_session_timeout: 5_000,
  });
  pool.on('error', () => undefined);
  const definitions = new Map(topics.map((topic) => [topic.name, topic]));
  let answering = false;
  let prepared: Promise<void> | undefined;

  const addTopics = async (names: Iterable<string>) => {
    // Sorted, so that two processes that create the same topics wait for each other instead of deadlocking.
    const sorted = [...names].sort();
    const keeps = sorted.map((name) => {
      const definition = definitions.get(name);
      return definition && keepsOf[definition.retention];
    });
    await pool.query(
      `INSERT INTO topic (name, partitions, keeps)
       SELECT name, $3, coalesce(keeps, $4) FROM unnest($1::text[], $2::text[]) AS new(name, keeps)
       ON CONFLICT (name) DO NOTHING`,
      [sorted, keeps, partitionsPerTopic, keepsOf.time],
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
    if (applied.length > 0) logger.info({ applied }, 'migrations of the event database applied');
    await addTopics(definitions.keys());
  };

  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const current = (prepared ??= prepare());
    try {
      await current;
      const result = await work();
      answering = true;
      return result;
    } catch (error) {
      const unprepared = isMissing(error) || (await current.then(() => false).catch(() => true));
      if (unprepared && prepared === current) prepared = undefined;
      if (unprepared || isUnavailable(error)) answering = false;
      throw error;
    }
  };

  return {
    pool,
    use: (work) =>
      attempt(work).catch((error: unknown) => {
        if (isMissing(error)) return attempt(work);
        throw error;
      }),
    addTopics,
    answers: () => answering,
  };
};

/**
 * Runs `work` on one connection of the pool. If it fails, the connection is closed, which ends its
 * transaction and releases its locks.
 */
export const withConnection = async <Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> => {
  const client = await pool.connect();
  // Without a listener, the error of a connection that breaks between two statements would end the process.
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

/** Returns the key of an advisory lock: 64 bits of a hash of what it protects. */
export const lockNumber = (...what: readonly (string | number)[]): string =>
  createHash('sha256').update(JSON.stringify(what)).digest().readBigInt64BE(0).toString();

/** The channel that is notified of appended messages; the payload is the topic. */
export const messagesChannel = 'log_messages';

/**
 * Logged when a committed offset is beyond the end of its partition, as after a restore from an older backup.
 */
export const beyondEnd =
  'a group had committed an offset beyond the end of its partition: messages are lost, and the group continues with the oldest one';
