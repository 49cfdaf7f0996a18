import { createHash, randomInt } from 'node:crypto';
import type pg from 'pg';
import {
  MessageRefused,
  type Broker,
  type BrokerOptions,
  type OutgoingMessage,
  type RecordPosition,
} from '../broker.js';
import { createGroupMember } from './consumer.js';
import { startPruning } from './retention.js';
import { beyondEnd, lockNumber, messagesChannel, openPostgresStore, withConnection } from './store.js';
import type { Logger } from '@cinegraph/service/logger';
import { within } from '@cinegraph/service/timing';

/** Larger publications are appended in several transactions, one after the other. */
const chunkLimits = { messages: 5_000, bytes: 8_000_000 };

/** These limits are the same as Kafka's. */
const topicPattern = /^[\w.-]{1,249}$/;
const defaultMaxMessageBytes = 1_048_576;

/** A publication fails within the thirty seconds that `Broker.publish` promises. */
const publishTimeoutMs = 28_000;

/** How long a stop waits for running publications when the database does not respond. */
const stopTimeoutMs = 4_000;

/**
 * Opens the broker for one machine: topics in the PostgreSQL database at `url` (migrations/broker, migrated
 * here). A publisher holds an advisory lock of each topic until its commit, so that offsets become visible in
 * order. Publications of one client are appended in the order of the calls. All state is in the database:
 * when retention has removed messages that a group has not read, when messages are lost, or when the database
 * is created again, every client continues with the oldest message.
 */
export const openPostgresBroker = (tools: BrokerOptions & { readonly url: string }): Broker => {
  const { topics, logger } = tools;
  const store = openPostgresStore(tools);
  const limits = new Map(topics.map(({ name, maxMessageBytes }) => [name, maxMessageBytes]));
  const stopped = new AbortController();
  let background: Promise<unknown> = Promise.resolve();
  let last: Promise<unknown> = Promise.resolve();

  const append = async (messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> => {
    const names = new Set(messages.map(({ topic }) => topic));
    const positions = await store.use(() => appendChunk({ pool: store.pool, logger }, messages, names));
    if (positions) return positions;
    return store.use(async () => {
      await store.addTopics(names);
      const retried = await appendChunk({ pool: store.pool, logger }, messages, names);
      if (!retried) throw new Error('a topic was removed while messages were published to it');
      return retried;
    });
  };

  const publish = async (messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> => {
    const chunks = chunksOf(messages, limits);
    const deadline = performance.now() + publishTimeoutMs;
    const turn = last.then(async () => {
      const positions: RecordPosition[] = [];
      for (const chunk of chunks) {
        if (performance.now() > deadline) throw new Error('the messages could not be appended in time');
        positions.push(...(await append(chunk)));
      }
      return positions;
    });
    last = turn.catch(() => undefined);
    return within(publishTimeoutMs, 'publishing to PostgreSQL', turn);
  };

  return {
    part: {
      name: 'broker',
      start: async () => {
        background = startPruning(store, logger, stopped.signal);
      },
      stop: async () => {
        stopped.abort();
        const closed = Promise.all([last, background]).then(() => store.pool.end());
        await within(stopTimeoutMs, 'closing the broker', closed).catch((error: unknown) =>
          logger.warn({ err: error }, 'the broker was closed while its database was unavailable'),
        );
      },
    },
    publish,
    subscribe: (options) => createGroupMember(store, logger, options),
    endOffsets: async (names) => {
      const { rows } = await store.use(() =>
        store.pool.query<{ topic: string; partition: number; next_offset: string }>(
          'SELECT topic, partition, next_offset FROM partition_end WHERE topic = ANY ($1) ORDER BY 1, 2',
          [names],
        ),
      );
      const ends = new Map<string, RecordPosition[]>();
      for (const { topic, partition, next_offset: end } of rows) {
        const positions = ends.get(topic) ?? [];
        positions.push({ partition, offset: BigInt(end) });
        ends.set(topic, positions);
      }
      return ends;
    },
    positions: async (group, names) => {
      const { rows } = await store.use(() =>
        store.pool.query<{ topic: string; partition: number; committed: string | null; next_offset: string }>(
          `SELECT topic, partition, committed, next_offset
           FROM partition_end LEFT JOIN (SELECT * FROM group_position WHERE "group" = $1) position USING (topic, partition)
           WHERE topic = ANY ($2) ORDER BY 1, 2`,
          [group, names],
        ),
      );
      return rows.map(({ topic, partition, committed, next_offset: end }) => ({
        topic,
        partition,
        committed: committed === null ? null : BigInt(committed),
        end: BigInt(end),
      }));
    },
    answers: store.answers,
  };
};

/**
 * Appends the messages in one transaction: takes the locks of their topics, then runs one statement. Appends
 * nothing and returns undefined if one of the topics does not exist.
 */
const appendChunk = async (
  { pool, logger }: { readonly pool: pg.Pool; readonly logger: Logger },
  messages: readonly OutgoingMessage[],
  topics: ReadonlySet<string>,
): Promise<readonly RecordPosition[] | undefined> => {
  // Sorted, so that two publishers of the same topics wait for each other instead of deadlocking.
  const locks = [...topics]
    .map((topic) => ({ topic, number: BigInt(lockNumber('append', topic)) }))
    .sort((left, right) => (left.number < right.number ? -1 : 1));
  return withConnection(pool, async (client) => {
    await client.query('BEGIN');
    await client.query(
      `SELECT pg_advisory_xact_lock(number), pg_notify('${messagesChannel}', topic)
       FROM unnest($1::bigint[], $2::text[]) AS lock(number, topic)`,
      [locks.map(({ number }) => number.toString()), locks.map(({ topic }) => topic)],
    );
    const { rows } = await client.query<{ partition: number; offset: string; reset: number }>(appendSql, [
      messages.map(({ topic }) => topic),
      hashesOf(messages),
      messages.map(({ key }) => (key === null ? null : Buffer.from(key))),
      messages.map(({ value }) => value),
      messages.map(({ headers }) => JSON.stringify(headers)),
    ]);
    const complete = rows.length === messages.length;
    await client.query(complete ? 'COMMIT' : 'ROLLBACK');
    const { reset = 0 } = rows[0] ?? {};
    if (complete && reset > 0) logger.warn({ topics: [...topics], positions: reset }, beyondEnd);
    return complete
      ? rows.map(({ partition, offset }) => ({ partition, offset: BigInt(offset) }))
      : undefined;
  });
};

/**
 * Runs as a statement of its own after the locks are taken, so that it sees the commit of the previous
 * publisher. It also reads the clock, so that append times follow the order of the offsets.
 */
const appendSql = `
  WITH input AS (
    SELECT new.*, (new.hash % topic.partitions)::integer AS partition, topic.keeps
    FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[], $5::text[])
      WITH ORDINALITY AS new(topic, hash, key, value, headers, number)
    JOIN topic ON topic.name = new.topic
  ), counted AS (
    SELECT topic, partition, count(*) AS count FROM input GROUP BY 1, 2
  ), ends AS (
    UPDATE partition_end SET next_offset = next_offset + count
    FROM counted WHERE partition_end.topic = counted.topic AND partition_end.partition = counted.partition
    RETURNING counted.topic, counted.partition, next_offset - count AS first
  ), reset AS (
    -- A group whose offset is beyond the end, because messages were lost, would skip the new ones.
    UPDATE group_position AS position SET committed = 0 FROM ends
    WHERE position.topic = ends.topic AND position.partition = ends.partition AND committed > first
    RETURNING 1
  ), numbered AS (
    SELECT input.*, first - 1 + row_number() OVER (PARTITION BY topic, partition ORDER BY number) AS "offset"
    FROM input JOIN ends USING (topic, partition)
  ), appended AS (
    INSERT INTO message (topic, partition, "offset", appended_at, key, value, headers, state_key)
    SELECT topic, partition, "offset", statement_timestamp(), key, value, headers::json,
      CASE WHEN keeps = 'states' THEN sha256(key) END
    FROM numbered
  )
  SELECT partition, "offset", (SELECT count(*)::integer FROM reset) AS reset FROM numbered ORDER BY number`;

/** Returns the hashes that select the partitions. The hash of a key must never change. */
const hashesOf = (messages: readonly OutgoingMessage[]): readonly number[] => {
  let spread = randomInt(2 ** 31);
  return messages.map(({ key }) =>
    key === null ? (spread += 1) : createHash('sha256').update(key).digest().readUInt32BE(0),
  );
};

/** Divides a publication into chunks; throws {@link MessageRefused} if a message is invalid or too large. */
const chunksOf = (
  messages: readonly OutgoingMessage[],
  limits: ReadonlyMap<string, number | undefined>,
): readonly (readonly OutgoingMessage[])[] => {
  const chunks: OutgoingMessage[][] = [];
  let chunk: OutgoingMessage[] = [];
  let chunkBytes = 0;
  for (const message of messages) {
    const { topic } = message;
    const bytes = bytesOf(message);
    const limit = limits.get(topic) ?? defaultMaxMessageBytes;
    if (!topicPattern.test(topic)) throw new MessageRefused('a message has an invalid topic name', message);
    if (bytes > limit) {
      throw new MessageRefused(
        `a message has ${bytes} bytes, and ${topic} accepts at most ${limit}`,
        message,
      );
    }
    if (chunk.length === chunkLimits.messages || chunkBytes + bytes > chunkLimits.bytes) {
      if (chunk.length > 0) chunks.push(chunk);
      chunk = [];
      chunkBytes = 0;
    }
    chunk.push(message);
    chunkBytes += bytes;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
};

const bytesOf = ({ key, value, headers }: OutgoingMessage): number => {
  let bytes = (key === null ? 0 : Buffer.byteLength(key)) + (value?.length ?? 0);
  for (const [name, text] of Object.entries(headers))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(text);
  return bytes;
};
