import pg from 'pg';
import { backoffMs } from '@cinegraph/service/backoff';
import type { Logger } from '@cinegraph/service/logger';
import { createOutage } from '@cinegraph/service/outage';
import type { Part } from '@cinegraph/service/parts';
import { pause, waitAtMost } from '@cinegraph/service/timing';
import { createWakeUp } from '@cinegraph/service/wake-up';
import type { IncomingMessage, SubscriptionOptions } from '../broker.js';
import { beyondEnd, endClient, lockNumber, messagesChannel, type PostgresStore } from './store.js';

/** How often a standby tries the lock, and the active member looks for messages without a notification. */
const pollMs = 1_000;

/** A batch has at most this many bytes, unless its only message is larger. */
const maxBatchBytes = 16_000_000;

/** How long a stop waits for running batches; the next active member gets what is not committed by then. */
const stopTimeoutMs = 8_000;

/**
 * Creates a member of a consumer group. One member of a group is active, by a session advisory lock, and
 * consumes all partitions; the others are on standby and try to take the lock every second. Members of a
 * group must subscribe to the same topics. When a connection fails, the running batches are awaited and the
 * member connects again.
 */
export const createGroupMember = (
  store: PostgresStore,
  logger: Logger,
  options: SubscriptionOptions,
): Part => {
  const { group, topics } = options;
  const stopping = new AbortController();
  const stopped = (): boolean => stopping.signal.aborted;
  const outage = createOutage(
    logger.child({ group }),
    'a consumer cannot read from the broker',
    'a consumer can read from the broker again',
  );
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (!stopped()) {
      let session: MemberSession | undefined;
      try {
        await store.use(() => store.addTopics(topics));
        session = await openMemberSession(store, stopping.signal);
        await takeLock(session, group, outage.over);
        await consumeTopics(session, options, logger, outage.over);
      } catch (error) {
        // The lock is released before the pause, so that a standby can take over.
        await session?.close();
        if (!stopped()) await pause(outage.failed(error), stopping.signal);
      }
    }
  };

  return {
    name: `consumer ${group}`,
    start: async () => {
      running = run();
    },
    stop: async () => {
      stopping.abort();
      await waitAtMost(running, stopTimeoutMs);
    },
  };
};

/** The connection of a member, which holds the lock and over which offsets are committed. */
interface MemberSession {
  /** Aborted when the member is stopped, and when the connection or a statement fails. */
  readonly ending: AbortSignal;
  /** Runs statements one after the other: all partitions share the connection. */
  query<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[]): Promise<readonly Row[]>;
  /** Calls `listener` with the topic of messages that were appended. */
  onMessages(listener: (topic: string) => void): void;
  /** Ends the session because of an error. */
  fail(error: unknown): void;
  /** Closes the connection, which releases the lock. */
  close(): Promise<void>;
}

/**
 * Opens the connection of a member; rejects if the server cannot be reached. The server ends the session, and
 * releases its lock, at once when the process dies, after 8 seconds when it is frozen, and after 4 when its
 * network is cut. Since offsets are committed over the same connection, a member that has lost the lock
 * cannot commit.
 */
const openMemberSession = async ({ pool }: PostgresStore, stopped: AbortSignal): Promise<MemberSession> => {
  const client = new pg.Client(pool.options);
  const failed = new AbortController();
  const fail = (error: unknown): void => failed.abort(error);
  client.on('error', fail);
  client.on('end', () => fail(new Error('the connection to the event database was closed')));
  let last: Promise<unknown> = Promise.resolve();
  const session: MemberSession = {
    ending: AbortSignal.any([stopped, failed.signal]),
    query: <Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[]) => {
      const result = last.then(async () => (await client.query<Row>(sql, [...values])).rows);
      last = result.catch(fail);
      return result;
    },
    onMessages: (listener) => {
      client.on('notification', ({ payload }) => listener(payload ?? ''));
    },
    fail,
    close: () => endClient(client),
  };
  try {
    await client.connect();
    await client.query(
      `SET idle_session_timeout = '8s'; SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;
       SET tcp_keepalives_count = 2`,
    );
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
};

/** Resolves when this session holds the lock of the group; rejects when the session is ending. */
const takeLock = async (
  { query, ending }: MemberSession,
  group: string,
  onSuccess: () => void,
): Promise<void> => {
  for (;;) {
    const [row] = await query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
      lockNumber('group', group),
    ]);
    onSuccess();
    if (row?.taken) return;
    await pause(pollMs, ending);
    ending.throwIfAborted();
  }
};

/**
 * Consumes all partitions of the topics, independently of one another, until the session is ending. Then
 * waits for the running batches, and rejects with the reason of the end.
 */
const consumeTopics = async (
  session: MemberSession,
  options: SubscriptionOptions,
  logger: Logger,
  onSuccess: () => void,
): Promise<never> => {
  const { query, ending } = session;
  const { group, topics } = options;
  const wakeUp = createWakeUp();
  const consuming = new Map<string, Promise<void>>();
  ending.addEventListener('abort', wakeUp.signal);
  session.onMessages((topic) => {
    if (topics.includes(topic)) wakeUp.signal();
  });
  try {
    await query(`LISTEN ${messagesChannel}`, []);
    for (;;) {
      ending.throwIfAborted();
      wakeUp.reset();
      for (const partition of await query<Partition>(unreadSql, [group, topics])) {
        const name = `${partition.topic}/${partition.partition}`;
        if (consuming.has(name)) continue;
        const done = consumePartition(session, options, partition, logger)
          .catch(session.fail)
          .finally(() => {
            consuming.delete(name);
            wakeUp.signal();
          });
        consuming.set(name, done);
      }
      onSuccess();
      await wakeUp.wait(pollMs);
    }
  } finally {
    await Promise.all(consuming.values());
  }
};

interface Partition {
  readonly topic: string;
  readonly partition: number;
}

/** Delivers and commits batch after batch of a partition until none is left or the session is ending. */
const consumePartition = async (
  { query, ending }: MemberSession,
  { group, maxBatch = 5_000, onBatch }: SubscriptionOptions,
  { topic, partition }: Partition,
  logger: Logger,
): Promise<void> => {
  /** Returns the next messages, the offset of the first and the offset after the last. */
  const fetch = async () => {
    // The end is read before the messages, so that no message below it can be missed.
    const ends = await query<{ from: string; end: string }>(positionSql, [group, topic, partition]);
    const { from: committed = '0', end = committed } = ends[0] ?? {};
    const lost = BigInt(committed) > BigInt(end);
    if (lost) {
      // Committed now: new messages may move the end beyond the old offset before this batch is handled.
      await query(commitSql, [group, topic, partition, '0']);
      logger.warn({ group, topic, partition, committed, end }, beyondEnd);
    }
    const from = lost ? '0' : committed;
    const rows = await query<MessageRow>(fetchSql, [topic, partition, from, maxBatch, maxBatchBytes]);
    const messages = rows.map((row) => readMessage(topic, partition, row));
    const last = messages.at(-1);
    // Without a message, retention has removed all of them up to the end.
    return { messages, from, next: last ? (last.offset + 1n).toString() : end };
  };

  /** Returns true when the batch is handled, and false when the session ends while it waits to try again. */
  const deliver = async (messages: readonly IncomingMessage[]): Promise<boolean> => {
    for (let failures = 0; ; failures += 1) {
      try {
        await onBatch(messages);
        return true;
      } catch (error) {
        const offset = messages[0]?.offset.toString();
        const position = { group, topic, partition, offset };
        logger.warn({ err: error, ...position }, 'a batch failed and will be delivered again');
      }
      await pause(backoffMs(failures), ending);
      if (ending.aborted) return false;
    }
  };

  while (!ending.aborted) {
    const { messages, from, next } = await fetch();
    if (next === from || (messages.length > 0 && !(await deliver(messages)))) return;
    await query(commitSql, [group, topic, partition, next]);
  }
};

interface MessageRow {
  readonly offset: string;
  readonly appended_at: Date;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

const readMessage = (topic: string, partition: number, row: MessageRow): IncomingMessage => ({
  topic,
  partition,
  offset: BigInt(row.offset),
  appendedAt: row.appended_at,
  key: row.key,
  value: row.value,
  headers: Object.fromEntries(
    Object.entries(row.headers).map(([name, text]) => [name, Buffer.from(text)] as const),
  ),
});

/** Selects partitions whose end is not the committed offset. It may be lower, when messages were lost. */
const unreadSql = `
  SELECT topic, partition
  FROM partition_end
  LEFT JOIN (SELECT * FROM group_position WHERE "group" = $1) AS position USING (topic, partition)
  WHERE topic = ANY ($2) AND next_offset <> coalesce(committed, 0)`;

const positionSql = `
  SELECT coalesce(committed, 0) AS "from", next_offset AS "end"
  FROM partition_end
  LEFT JOIN (SELECT * FROM group_position WHERE "group" = $1) AS position USING (topic, partition)
  WHERE topic = $2 AND partition = $3`;

const fetchSql = `
  SELECT "offset", appended_at, key, value, headers
  FROM (
    SELECT *, sum(size) OVER (ORDER BY "offset") - size AS before
    FROM (
      SELECT *, coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) AS size
      FROM message WHERE topic = $1 AND partition = $2 AND "offset" >= $3
      ORDER BY "offset" LIMIT $4) AS next) AS counted
  WHERE before < $5
  ORDER BY "offset"`;

const commitSql = `
  INSERT INTO group_position ("group", topic, partition, committed) VALUES ($1, $2, $3, $4)
  ON CONFLICT ("group", topic, partition) DO UPDATE SET committed = excluded.committed`;
