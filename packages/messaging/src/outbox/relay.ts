import pg from 'pg';
import { MessageRefused, type Broker, type OutgoingMessage } from '../broker.js';
import { createEnvelopeSigner, encodeEnvelope, producerKey } from '../envelope.js';
import { byIndexesSql } from '@cinegraph/database/pool';
import type { Logger } from '@cinegraph/service/logger';
import { createWakeUp } from '@cinegraph/service/wake-up';
import { createOutage } from '@cinegraph/service/outage';
import { pause, waitAtMost } from '@cinegraph/service/timing';
import { createKnownEnds, type KnownEnd } from './log-loss.js';
import {
  batchLimits,
  eventIdAt,
  openOutboxTable,
  unpublishedOf,
  type OutboxEntry,
  type OutboxRow,
  type OutboxTable,
} from './table.js';
import type { Part } from '@cinegraph/service/parts';
import { openMessageSpan, type MessageSpan } from '@cinegraph/service/telemetry/tracing';

/** The advisory lock of the relay. The number is arbitrary; each database has its own lock. */
const relayLock = 4_203_003;

/** How often the table is read when no notification comes, and how often a waiting relay tries the lock. */
const pollMs = 1_000;

/** How often the relay checks that the broker still has everything it acknowledged. */
const checkLogMs = 5_000;

const pruneMs = 60_000;
const pruneMoreMs = 250;

/**
 * How long a stop waits for the broker. What is not acknowledged by then is published again by the next
 * relay.
 */
const stopWithinMs = 5_000;

/** Entries that are published together, with their rows, messages and spans. */
interface Batch {
  readonly rows: readonly OutboxRow[];
  /** Whether the entries are all that is unpublished in the rows. */
  readonly whole: boolean;
  readonly entries: readonly OutboxEntry[];
  readonly messages: readonly OutgoingMessage[];
  readonly spans: readonly MessageSpan[];
}

/**
 * Creates the relay, which publishes the outbox of the database of `pool` over a connection of its own. One
 * relay works at a time, by an advisory lock of that session; another takes over a second after it is gone.
 *
 * Entries are published in order of position, marked when the broker has acknowledged them, and deleted 72
 * hours later; a crash in between publishes at most one batch again. While the broker is unavailable the
 * relay retries with back-off. An entry that the broker rejects for good is parked. If the broker has lost
 * messages, everything of those partitions that is still in the outbox is published again.
 */
export const createOutboxRelay = (options: {
  readonly pool: pg.Pool;
  readonly broker: Broker;
  /** The name of the producer in the envelopes: one word. */
  readonly producer: string;
  /**
   * The graph's secret, from which the signing key is derived. Without it (never in production) nothing is
   * signed.
   */
  readonly secret: string | undefined;
  readonly logger: Logger;
}): Part => {
  const { pool, broker, producer, secret } = options;
  const logger = options.logger.child({ part: 'outbox-relay' });
  const seal = createSealer(producer, secret);
  const stopping = new AbortController();
  const { signal } = stopping;
  const stopped = (): boolean => signal.aborted;
  const wakeUp = createWakeUp();
  const storeOutage = createOutage(logger, 'the outbox cannot be read', 'the outbox can be read again');
  const brokerOutage = createOutage(
    logger,
    'events wait in the outbox: the broker is unavailable',
    'the broker is available again',
  );
  let client: pg.Client | undefined;
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (!stopped()) {
      client = new pg.Client({ ...pool.options, application_name: `${producer} outbox relay` });
      // A broken connection fails the next statement.
      client.on('error', wakeUp.signal).on('end', wakeUp.signal).on('notification', wakeUp.signal);
      try {
        await client.connect();
        await client.query(sessionSql);
        if (await takeLock(client)) await lead(client);
      } catch (error) {
        if (!stopped()) await pause(storeOutage.failed(error), signal);
      } finally {
        await close(client);
      }
    }
  };

  const takeLock = async (session: pg.Client): Promise<boolean> => {
    while (!stopped()) {
      const { rows } = await session.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
        relayLock,
      ]);
      storeOutage.over();
      if (rows[0]?.taken) {
        await session.query('LISTEN outbox');
        return true;
      }
      await pause(pollMs, signal);
    }
    return false;
  };

  /** Publishes until it is stopped; throws if the database does not respond. */
  const lead = async (session: pg.Client): Promise<void> => {
    const table = openOutboxTable(session);
    const ends = createKnownEnds(await table.ends());
    let limit: number = batchLimits.entries;
    let checkAt = 0;
    let pruneAt = 0;
    let pruned: string | undefined;
    let ahead: Promise<Batch> | undefined;

    const read = async (besides: readonly OutboxRow[] = []): Promise<Batch> => {
      wakeUp.reset();
      const rows = await table.read(limit, besides);
      const waiting = rows.flatMap(unpublishedOf);
      const entries = waiting.slice(0, limit);
      return { rows, whole: entries.length === waiting.length, ...seal(entries) };
    };
    const dropAhead = async (): Promise<void> => {
      endSpans(await ahead, 'failed');
      ahead = undefined;
    };
    const failed = async (error: unknown): Promise<void> => {
      checkAt = 0;
      await pause(brokerOutage.failed(error), signal);
      // Keeps the session, which the server ends when it is idle for too long, while nothing is published.
      await session.query('SELECT 1');
    };
    const reopen = async (lost: readonly KnownEnd[]): Promise<void> => {
      await dropAhead();
      const events = await table.reopen(lost);
      ends.move(lost);
      const topics = [...new Set(lost.map(({ topic }) => topic))];
      logger.error(
        { topics, partitions: lost.length, events },
        'the broker lost events that it had acknowledged: those of the last 72 hours are published again; run "npm run events -- backfill" to publish the current state of everything older',
      );
    };
    /** Prunes and checks the log when it is time; returns false if the broker could not be asked. */
    const pruneAndCheckLog = async (): Promise<boolean> => {
      if (performance.now() >= pruneAt) {
        pruned = await table.prune(pruned ?? '0');
        pruneAt = performance.now() + (pruned === undefined ? pruneMs : pruneMoreMs);
      }
      if (performance.now() < checkAt) return true;
      const check = await settle(ends.lost(broker));
      if ('error' in check) {
        await failed(check.error);
        return false;
      }
      checkAt = performance.now() + checkLogMs;
      if (check.value.length > 0) await reopen(check.value);
      return true;
    };
    const publish = async (batch: Batch): Promise<void> => {
      // No transaction is open while the relay waits for the broker.
      const publishing = settle(broker.publish(batch.messages));
      // Otherwise the next rows could have events of the same keys as the rest of the bundle.
      if (batch.whole) ahead = read(batch.rows);
      ahead?.catch(() => undefined);
      const published = await publishing;
      if ('error' in published) {
        endSpans(batch, 'failed');
        await dropAhead();
        if (!(published.error instanceof MessageRefused)) return failed(published.error);
        limit = await separate(table, batch, published.error);
        return;
      }
      endSpans(batch);
      brokerOutage.over();
      limit = Math.min(limit * 2, batchLimits.entries);
      const { published: marked, moved, lost } = ends.compare(batch.entries, published.value);
      ends.move(await table.mark(marked, moved));
      if (lost.length > 0) await reopen(lost);
    };

    while (!stopped()) {
      if (!(await pruneAndCheckLog())) continue;
      const batch = await (ahead ?? read());
      ahead = undefined;
      if (batch.entries.length > 0) await publish(batch);
      else {
        brokerOutage.over();
        await wakeUp.wait(pollMs);
      }
    }
    await dropAhead();
  };

  /** Halves the batch until the rejected entry is alone, and then parks it; returns the next limit. */
  const separate = async (table: OutboxTable, { entries }: Batch, error: Error): Promise<number> => {
    const [entry] = entries;
    if (!entry || entries.length > 1) return Math.ceil(entries.length / 2);
    await table.park(entry);
    const { position, type, topic } = entry.row;
    const eventId = eventIdAt(entry.row, entry.at);
    logger.error(
      { err: error, position, eventId, type, topic },
      'the broker rejected this event for good: it is parked',
    );
    return batchLimits.entries;
  };

  return {
    name: 'outbox relay',
    start: async () => {
      running = run();
    },
    stop: async () => {
      stopping.abort();
      wakeUp.signal();
      await waitAtMost(running, stopWithinMs);
      // Ends the session and with it the lock, even if the broker has not responded.
      if (client) await close(client);
    },
  };
};

/**
 * Ends the session of a relay that is frozen or cut off, and with it the lock, within a bounded time. Makes
 * the planner use the indexes in their order: its statistics are always late, and a plan for a few rows would
 * read and sort a backlog of a million for each batch.
 */
const sessionSql = `
  SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
  SET idle_session_timeout = '45s';
  ${byIndexesSql}; SET enable_bitmapscan = off; SET enable_sort = off`;

const close = (client: pg.Client): Promise<void> => waitAtMost(client.end(), 1_000);

const endSpans = (batch: Batch | undefined, outcome?: 'failed'): void => {
  for (const span of batch?.spans ?? []) span.end(outcome);
};

/** Creates a function that turns entries into messages: events get an envelope and a signature. */
const createSealer = (producer: string, secret: string | undefined) => {
  const sign = createEnvelopeSigner(secret === undefined ? undefined : producerKey(secret, producer));
  return (entries: readonly OutboxEntry[]): Pick<Batch, 'entries' | 'messages' | 'spans'> => {
    const spans: MessageSpan[] = [];
    let [last, occurredAt]: [OutboxRow?, string?] = [];
    // A hot loop (npm run bench -- events): formatting the time for each event took twice as long as the
    // rest.
    const messages = entries.map(({ row, at, key, trace, data }): OutgoingMessage => {
      const { type, version, topic } = row;
      if (type === null) return { topic, key, value: row.value, headers: row.headers ?? {} };
      const span = openMessageSpan(trace, `publish ${topic}`, 'producer');
      if (span) spans.push(span);
      if (row !== last || occurredAt === undefined) [last, occurredAt] = [row, row.created_at.toISOString()];
      const value = encodeEnvelope({
        id: eventIdAt(row, at),
        type,
        version,
        key: key ?? '',
        occurredAt,
        producer,
        trace: span?.trace ?? trace ?? undefined,
        data,
      });
      return { topic, key, value, headers: sign(topic, value) };
    });
    return { entries, messages, spans };
  };
};

/**
 * Returns the result of a promise as a value, to keep failures of the broker apart from those of the
 * database.
 */
const settle = <Value>(promise: Promise<Value>): Promise<{ value: Value } | { error: unknown }> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
