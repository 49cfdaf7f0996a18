import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { IncomingMessage, SubscriptionOptions } from '../broker.js';
import type { Logger } from '@cinegraph/service/logger';
import { beyondEnd, channels, connectionOptions, endClient, lockNumber } from './store.js';

/** One connection of a group's member, and the partitions that it owns by advisory locks on that connection. */
export interface LogSession {
  /** Consumes until the signal, then finishes what is under way; rejects when the connection or a statement fails. */
  run(): Promise<void>;
  /** Resolves when no batch is under way any more; the connection is closed, and with it all is given up. */
  close(): Promise<void>;
}

/** A partition that this session owns. */
interface Owned {
  readonly topic: string;
  readonly partition: number;
  readonly lock: string;
  /** Resolves when nothing of it is under way; undefined while it waits for messages. */
  pump: Promise<void> | undefined;
  /** Aborted when it is to be let go. */
  readonly leaving: AbortController;
}

interface Fetched {
  readonly offset: string;
  readonly appended_at: Date;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Missed notifications cost no more than this. */
const pollMs = 1_000;

/** A batch holds no more bytes than this, whatever its number of messages; a single message may. */
const maxBatchBytes = 16_000_000;

const backOff = { fromMs: 100, toMs: 10_000 };

/**
 * Connects a member. Each topic's members hold a lock in common, by which they count one another; each then takes its share
 * of the partitions, and lets go of what it has beyond that between two batches. The server ends the session of a process
 * that is frozen or cut off within seconds, and with it the locks; and since positions are committed over the same
 * connection, who has lost a partition cannot commit in it.
 */
export const openConsumerSession = async (
  { url, clientId, logger }: { url: string; clientId: string; logger: Logger },
  { group, topics, maxBatch = 5_000, onBatch }: SubscriptionOptions,
  signal: AbortSignal,
): Promise<LogSession> => {
  const client = new pg.Client(connectionOptions(url, clientId));
  const owned = new Map<string, Owned>();
  let failure: unknown;
  let wake = (): void => undefined;
  let polledAt = -Infinity;
  const wanted = { balance: false, look: false };

  let last: Promise<unknown> = Promise.resolve();
  /** One statement after the other: partitions share the connection. */
  const query = <Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[]): Promise<Row[]> => {
    const turn = last.then(async () => (await client.query<Row>(sql, [...values])).rows);
    last = turn.catch(() => undefined);
    return turn;
  };
  const leave = () => {
    for (const { leaving } of owned.values()) leaving.abort();
    wake();
  };
  const fail = (error: unknown) => {
    failure ??= error;
    leave();
  };
  signal.addEventListener('abort', leave);
  client.on('error', fail);
  client.on('end', () => fail(new Error('the connection to the log ended')));
  client.on('notification', ({ channel, payload }) => {
    if (channel === channels.members && payload === group) wanted.balance = true;
    else if (channel === channels.messages && topics.includes(payload ?? '')) wanted.look = true;
    else return;
    wake();
  });

  let all: { readonly topic: string; readonly partition: number }[];
  try {
    await client.connect();
    await client.query(
      `SET idle_session_timeout = '8s'; SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;
       SET tcp_keepalives_count = 2; LISTEN ${channels.messages}; LISTEN ${channels.members}`,
    );
    await query(
      `SELECT pg_advisory_lock_shared(number), pg_notify('${channels.members}', $2) FROM unnest($1::bigint[]) AS number`,
      [topics.map((topic) => lockNumber('member', group, topic)), group],
    );
    all = await query<{ topic: string; partition: number }>(
      'SELECT topic, partition FROM partition_end WHERE topic = ANY ($1) ORDER BY 1, 2',
      [topics],
    );
  } catch (error) {
    signal.removeEventListener('abort', leave);
    await endClient(client);
    throw error;
  }
  const partitions = all.map((row) => ({
    ...row,
    lock: lockNumber('owner', group, row.topic, row.partition),
  }));

  /** Takes and lets go, until this member has its share of each topic. */
  const balance = async () => {
    const held = await query<{ number: string; pid: number; own: boolean }>(heldLocksSql, [
      [...topics.map((topic) => lockNumber('member', group, topic)), ...partitions.map(({ lock }) => lock)],
    ]);
    for (const topic of topics) {
      const membership = lockNumber('member', group, topic);
      const members = held.filter(({ number }) => number === membership);
      const own = members.find((member) => member.own)?.pid ?? 0;
      const rank = members.filter(({ pid }) => pid < own).length;
      const ofTopic = partitions.filter((partition) => partition.topic === topic);
      const share =
        Math.floor(ofTopic.length / Math.max(1, members.length)) +
        (rank < ofTopic.length % members.length ? 1 : 0);
      const mine = [...owned.values()].filter((one) => one.topic === topic && !one.leaving.signal.aborted);
      for (const surplus of mine.slice(share)) surplus.leaving.abort();
      const free = ofTopic.filter(({ lock }) => !held.some(({ number }) => number === lock));
      for (const partition of free.slice(0, Math.max(0, share - mine.length))) await take(partition);
    }
    for (const one of owned.values()) if (one.leaving.signal.aborted && !one.pump) await letGo(one);
  };

  const take = async (partition: { topic: string; partition: number; lock: string }) => {
    const rows = await query<{ had: boolean }>('SELECT pg_try_advisory_lock($1) AS had', [partition.lock]);
    if (rows[0]?.had !== true) {
      // Somebody was quicker: there may be another one.
      wanted.balance = true;
      return;
    }
    owned.set(partition.lock, { ...partition, pump: undefined, leaving: new AbortController() });
    wanted.look = true;
  };

  const letGo = async ({ lock }: Owned) => {
    owned.delete(lock);
    await query('SELECT pg_advisory_unlock($1), pg_notify($2, $3)', [lock, channels.members, group]);
  };

  /** Finds which of the waiting partitions have messages, and begins with them. */
  const look = async () => {
    const waiting = [...owned.values()].filter(({ pump, leaving }) => !pump && !leaving.signal.aborted);
    if (waiting.length === 0 || signal.aborted) return;
    const rows = await query<{ topic: string; partition: number }>(behindSql, [
      group,
      waiting.map(({ topic }) => topic),
      waiting.map(({ partition }) => partition),
    ]);
    for (const one of waiting) {
      if (!rows.some(({ topic, partition }) => topic === one.topic && partition === one.partition)) continue;
      one.pump = consume(one)
        .catch(fail)
        .finally(() => {
          one.pump = undefined;
          wanted.look = true;
          wanted.balance ||= one.leaving.signal.aborted;
          wake();
        });
    }
  };

  /** Hands out batch after batch of a partition until there is none or it is let go. */
  const consume = async (one: Owned) => {
    while (!one.leaving.signal.aborted) {
      const { messages, from, behind } = await fetch(one);
      if (behind === from || (messages.length > 0 && !(await deliver(one, messages)))) return;
      await query(commitSql, [group, one.topic, one.partition, behind]);
    }
  };

  /** The next messages, and the offset behind them: the partition's end when retention has left none. */
  const fetch = async ({ topic, partition }: Owned) => {
    // First the end, then the messages: none before that end can be missed.
    const ends = await query<{ from: string; end: string }>(positionSql, [group, topic, partition]);
    const { from: position = '0', end = position } = ends[0] ?? {};
    const lost = BigInt(position) > BigInt(end);
    if (lost) {
      // At once: the end may be beyond that position again before these messages are done.
      await query(commitSql, [group, topic, partition, '0']);
      logger.warn({ group, topic, partition, position, end }, beyondEnd);
    }
    const from = lost ? '0' : position;
    const rows = await query<Fetched>(fetchSql, [topic, partition, from, maxBatch, maxBatchBytes]);
    const messages = rows.map((row) => readMessage(topic, partition, row));
    const last = messages.at(-1);
    return { messages, from, behind: last ? (last.offset + 1n).toString() : end };
  };

  /** Until the batch is done, with pauses in between; false when the partition is to be let go instead. */
  const deliver = async ({ topic, partition, leaving }: Owned, messages: readonly IncomingMessage[]) => {
    for (let pauseMs = backOff.fromMs; ; pauseMs = Math.min(pauseMs * 2, backOff.toMs)) {
      try {
        await onBatch(messages);
        return true;
      } catch (error) {
        const at = { group, topic, partition, offset: messages[0]?.offset.toString() };
        logger.warn({ err: error, ...at }, 'a batch was not done and comes again');
      }
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, leaving).catch(() => undefined);
      if (leaving.signal.aborted) return false;
    }
  };

  /** Until a notification, the end of a batch, the signal, or the next poll. */
  const sleep = async () => {
    const woken = new AbortController();
    wake = () => woken.abort();
    if (wanted.balance || wanted.look || failure !== undefined || signal.aborted) return;
    await delay(pollMs, undefined, woken).catch(() => undefined);
  };

  const settle = async () => {
    for (const one of owned.values()) await one.pump;
  };

  return {
    run: async () => {
      while (!signal.aborted) {
        if (failure !== undefined) throw failure;
        const polls = performance.now() - polledAt >= pollMs;
        if (polls) polledAt = performance.now();
        const toBalance = polls || wanted.balance;
        wanted.balance = false;
        if (toBalance) await balance();
        const toLook = polls || wanted.look;
        wanted.look = false;
        if (toLook) await look();
        await sleep();
      }
      await settle();
      await query('SELECT pg_advisory_unlock_all(), pg_notify($1, $2)', [channels.members, group]);
    },
    close: async () => {
      fail(new Error('the session was closed'));
      await settle();
      signal.removeEventListener('abort', leave);
      await endClient(client);
    },
  };
};

const readMessage = (topic: string, partition: number, row: Fetched): IncomingMessage => ({
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

/** Who holds which of these locks. */
const heldLocksSql = `
  SELECT number::text, pid, pid = pg_backend_pid() AS own
  FROM (
    SELECT (classid::bigint << 32) | objid::bigint AS number, pid FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held
  WHERE number = ANY ($1::bigint[])`;

/** Which of these partitions the group is not at the end of; also those whose messages are lost, so that it is beyond. */
const behindSql = `
  SELECT topic, partition
  FROM unnest($2::text[], $3::integer[]) AS waiting(topic, partition)
  JOIN partition_end USING (topic, partition)
  LEFT JOIN (SELECT * FROM group_position WHERE "group" = $1) AS position USING (topic, partition)
  WHERE next_offset <> coalesce(committed, 0)`;

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
