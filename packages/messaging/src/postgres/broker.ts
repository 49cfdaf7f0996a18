import { createHash, randomInt } from 'node:crypto';
import type pg from 'pg';
import {
  MessageRefused,
  type Broker,
  type BrokerOptions,
  type OutgoingMessage,
  type RecordPosition,
} from '../broker.js';
import { createGroupMember } from './member.js';
import { startPruning } from './retention.js';
import { beyondEnd, channels, lockNumber, openPostgresStore, withConnection } from './store.js';
import type { Logger } from '@cinegraph/service/logger';
import { within } from '@cinegraph/service/timing';

/** Larger publications are appended in several transactions, one after the other. */
const chunkLimits = { messages: 5_000, bytes: 8_000_000 };

/** As Kafka has them. */
const topicPattern = /^[\w.-]{1,249}$/;
const defaultMaxMessageBytes = 1_048_576;

/** A publication gives up before thirty seconds are over. */
const publishTimeoutMs = 28_000;

/** How long a stop waits for publications under way when the database does not answer. */
const stopTimeoutMs = 4_000;

/**
 * The broker of one machine: a log in the PostgreSQL database at `url` (prisma/events, migrated here), durable as that is.
 * Offsets become visible in order, since whoever appends to a topic holds its advisory lock until the commit; publications of
 * one client happen in the order of their calls. What a client knows is in the database alone: the log may be pruned below a
 * group's position, lose messages that a group has read, or be made anew, and all go on by themselves, at the oldest message
 * there is.
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
    const places = await store.use(() => appendChunk({ pool: store.pool, logger }, messages, names));
    if (places.length === messages.length) return places;
    // Nothing was appended: a topic is missing.
    return store.use(async () => {
      await store.addTopics(names);
      const again = await appendChunk({ pool: store.pool, logger }, messages, names);
      if (again.length !== messages.length) throw new Error('a topic of the log vanished while it was made');
      return again;
    });
  };

  const publish = async (messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> => {
    const chunks = chunksOf(messages, limits);
    const deadline = performance.now() + publishTimeoutMs;
    const turn = last.then(async () => {
      const places: RecordPosition[] = [];
      for (const chunk of chunks) {
        if (performance.now() > deadline) throw new Error('the log did not take the messages in time');
        places.push(...(await append(chunk)));
      }
      return places;
    });
    last = turn.catch(() => undefined);
    return within(publishTimeoutMs, 'publishing to the log', turn);
  };

  return {
    part: {
      name: 'broker',
      start: async () => {
        background = startPruning(store, logger, stopped.signal);
      },
      stop: async () => {
        stopped.abort();
        const left = Promise.all([last, background]).then(() => store.pool.end());
        await within(stopTimeoutMs, 'leaving the log', left).catch((error: unknown) =>
          logger.warn({ err: error }, 'the log was left while it was away'),
        );
      },
    },
    publish,
    subscribe: (options) => createGroupMember({ ...tools, store }, options),
    endOffsets: async (names) => {
      const { rows } = await store.use(() =>
        store.pool.query<{ topic: string; partition: number; next_offset: string }>(
          'SELECT topic, partition, next_offset FROM partition_end WHERE topic = ANY ($1) ORDER BY 1, 2',
          [names],
        ),
      );
      const ends = new Map<string, RecordPosition[]>();
      for (const { topic, partition, next_offset: end } of rows) {
        const places = ends.get(topic) ?? [];
        places.push({ partition, offset: BigInt(end) });
        ends.set(topic, places);
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
        ...{ topic, partition },
        committed: committed === null ? null : BigInt(committed),
        end: BigInt(end),
      }));
    },
    answers: store.answers,
  };
};

/**
 * Appends the messages in one transaction: the locks of their topics first, then one statement. Answers no places, and
 * appends nothing, when there is a topic that does not exist.
 */
const appendChunk = async (
  { pool, logger }: { readonly pool: pg.Pool; readonly logger: Logger },
  messages: readonly OutgoingMessage[],
  topics: ReadonlySet<string>,
): Promise<readonly RecordPosition[]> => {
  // In order of the locks: two publishers of the same topics wait for each other, and never in a circle.
  const locks = [...topics]
    .map((topic) => ({ topic, number: BigInt(lockNumber('append', topic)) }))
    .sort((left, right) => (left.number < right.number ? -1 : 1));
  return withConnection(pool, async (client) => {
    await client.query('BEGIN');
    await client.query(
      `SELECT pg_advisory_xact_lock(number), pg_notify('${channels.messages}', topic)
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
    return complete ? rows.map(({ partition, offset }) => ({ partition, offset: BigInt(offset) })) : [];
  });
};

/**
 * One statement of its own after the locks, so that it sees what the publisher before it committed. The clock is read in
 * it, too: in a partition it goes with the offsets.
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
    -- Groups that stood beyond the end, since messages are lost, would pass these over.
    UPDATE group_position AS position SET committed = 0 FROM ends
    WHERE position.topic = ends.topic AND position.partition = ends.partition AND committed > first
    RETURNING 1
  ), placed AS (
    SELECT input.*, first - 1 + row_number() OVER (PARTITION BY topic, partition ORDER BY number) AS "offset"
    FROM input JOIN ends USING (topic, partition)
  ), appended AS (
    INSERT INTO message (topic, partition, "offset", appended_at, key, value, headers, state_key)
    SELECT topic, partition, "offset", statement_timestamp(), key, value, headers::json,
      CASE WHEN keeps = 'states' THEN sha256(key) END
    FROM placed
  )
  SELECT partition, "offset", (SELECT count(*)::integer FROM reset) AS reset FROM placed ORDER BY number`;

/** By which a message finds its partition: a hash of its key, the same in every version and on every machine. */
const hashesOf = (messages: readonly OutgoingMessage[]): readonly number[] => {
  let spread = randomInt(2 ** 31);
  return messages.map(({ key }) =>
    key === null ? (spread += 1) : createHash('sha256').update(key).digest().readUInt32BE(0),
  );
};

/** Cuts a publication into chunks; throws when one of the messages will never be taken. */
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
    if (!topicPattern.test(topic)) throw new MessageRefused('a message names what can be no topic');
    if (bytes > limit) {
      throw new MessageRefused(`a message of ${bytes} bytes is more than ${topic} takes: ${limit}`);
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
