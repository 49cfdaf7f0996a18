import type pg from 'pg';
import { isConflict } from './errors.js';
import { runJob } from './job.js';

/** How the present state in one subgraph's database is told to a topic that is younger than its tables. */
export interface Announcement {
  readonly subgraph: string;
  readonly migrations: URL;
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

/**
 * Runs announcements as this process: each topic is told once, however often this is run; killed at any moment, the next
 * run goes on behind the last chunk. Whoever writes meanwhile waits for no more than a chunk.
 */
export const runAnnouncements = (
  announcements: readonly [Announcement, ...Announcement[]],
): Promise<void> => {
  const [{ subgraph, migrations }] = announcements;
  return runJob({
    subgraph,
    migrations,
    what: 'the announcement',
    work: async ({ pool }) => {
      for (const announcement of announcements) {
        const { topic, items } = announcement;
        const told = await announce(pool, announcement);
        process.stdout.write(
          told === undefined
            ? `${subgraph}: ${topic}: announced before\n`
            : `${subgraph}: ${topic}: ${told} ${items} announced\n`,
        );
      }
      return 0;
    },
  });
};

/** The announcement itself; answers how many keys it told, or undefined when all had been told before. */
export const announce = async (pool: pg.Pool, announcement: Announcement): Promise<number | undefined> => {
  let told = 0;
  for (;;) {
    const chunk = await inTransaction(pool, (client) => announceChunk(client, announcement));
    if (chunk === undefined) return told === 0 ? undefined : told;
    told += chunk;
    if (chunk < chunkSize) return told;
  }
};

/** Answers how many keys were told, or undefined when there is nothing to do any more. */
const announceChunk = async (
  client: pg.PoolClient,
  { topic, keys, tell }: Announcement,
): Promise<number | undefined> => {
  await client.query('INSERT INTO announcement (topic, through) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    topic,
    behind(''),
  ]);
  // Two runs take turns, chunk by chunk.
  const progress = await client.query<{ through: string }>(
    'SELECT through FROM announcement WHERE topic = $1 FOR UPDATE',
    [topic],
  );
  const through = progress.rows[0]?.through ?? behind('');
  if (through === finished) return undefined;
  const { rows } = await client.query<{ key: string }>(keys, [through.slice(behind('').length), chunkSize]);
  if (rows.length > 0) await client.query(tell, [rows.map(({ key }) => key)]);
  await client.query('UPDATE announcement SET through = $2 WHERE topic = $1', [
    topic,
    rows.length < chunkSize ? finished : behind(rows.at(-1)?.key ?? ''),
  ]);
  return rows.length;
};

const inTransaction = async <Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
  attempts = maxAttempts,
): Promise<Result> => {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    client.release();
    return result;
  } catch (error) {
    // Closes the connection, and with it the transaction.
    client.release(true);
    if (attempts <= 1 || !isConflict(error)) throw error;
  }
  return inTransaction(pool, work, attempts - 1);
};
