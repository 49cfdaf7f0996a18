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
  waitingIn,
  type OutboxEntry,
  type OutboxRow,
  type OutboxTable,
} from './table.js';
import type { Part } from '@cinegraph/service/parts';
import { openMessageSpan, type MessageSpan } from '@cinegraph/service/telemetry/tracing';

/** Any number that only relays lock; one a database, since advisory locks belong to one. */
const relayLock = 4_203_003;

/** How often the table is looked at when nobody says that something was written, and the lock is tried. */
const pollMs = 1_000;

/** How often it is asked, while nothing is to be published, whether the broker still has all that it took. */
const checkLogMs = 5_000;

const pruneMs = 60_000;
const pruneMoreMs = 250;

/** How long a stop waits for the broker; what it has not acknowledged by then is published again by the next relay. */
const stopWithinMs = 5_000;

/** Entries as they are published, their spans, and the rows that hold them. */
interface Batch {
  readonly rows: readonly OutboxRow[];
  /** Whether all that waits in the rows is among the entries. */
  readonly whole: boolean;
  readonly entries: readonly OutboxEntry[];
  readonly messages: readonly OutgoingMessage[];
  readonly spans: readonly MessageSpan[];
}

/**
 * Publishes the table `outbox` of the database of `pool`, over a connection of its own: one relay at a time, by a session
 * advisory lock on that connection; another one waits, and takes over a second after the first is gone. Entries go out
 * in order of position, are marked once the broker has acknowledged them, and removed 72 hours later; a crash
 * in between publishes at most one batch again. While the broker is away entries wait, with back-off. An entry that it
 * will never take is put aside with an error in the log. When the broker has lost what it took, all that is still here of
 * those partitions is published again.
 */
export const createOutboxRelay = (options: {
  readonly pool: pg.Pool;
  readonly broker: Broker;
  /** One word: who says so, in the envelopes. */
  readonly producer: string;
  /** The graph's secret, from which the signing key is derived; undefined: unsigned, never in production. */
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
  const storeAway = createOutage(logger, 'the outbox cannot be read', 'the outbox can be read again');
  const brokerAway = createOutage(
    logger,
    'events wait in the outbox: the broker takes none',
    'the broker takes events again',
  );
  let client: pg.Client | undefined;
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (!stopped()) {
      client = new pg.Client({ ...pool.options, application_name: `${producer} outbox relay` });
      // What broke shows at the next statement.
      client.on('error', wakeUp.signal).on('end', wakeUp.signal).on('notification', wakeUp.signal);
      try {
        await client.connect();
        await client.query(sessionSql);
        if (await takeLock(client)) await lead(client);
      } catch (error) {
        if (!stopped()) await pause(storeAway.failed(error), signal);
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
      storeAway.over();
      if (rows[0]?.taken) {
        await session.query('LISTEN outbox');
        return true;
      }
      await pause(pollMs, signal);
    }
    return false;
  };

  /** Works until it is stopped; throws when the database does not answer. */
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
      const waiting = rows.flatMap(waitingIn);
      const entries = waiting.slice(0, limit);
      return { rows, whole: entries.length === waiting.length, ...seal(entries) };
    };
    const dropAhead = async (): Promise<void> => {
      endSpans(await ahead, 'failed');
      ahead = undefined;
    };
    const failed = async (error: unknown): Promise<void> => {
      checkAt = 0;
      await pause(brokerAway.failed(error), signal);
      // The server ends a session that says nothing, and while the broker is away nothing else may be said in it.
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
    /** Answers whether the broker has all that it took, or has at least been found to have lost some. */
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
      // No transaction is open while the broker is waited for.
      const publishing = settle(broker.publish(batch.messages));
      // What is behind the rest of a bundle may be of the same key.
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
      brokerAway.over();
      limit = Math.min(limit * 2, batchLimits.entries);
      const { placed, moved, lost } = ends.compare(batch.entries, published.value);
      ends.move(await table.mark(placed, moved));
      if (lost.length > 0) await reopen(lost);
    };

    while (!stopped()) {
      if (!(await pruneAndCheckLog())) continue;
      const batch = await (ahead ?? read());
      ahead = undefined;
      if (batch.entries.length > 0) await publish(batch);
      else {
        brokerAway.over();
        await wakeUp.wait(pollMs);
      }
    }
    await dropAhead();
  };

  /** Answers how many entries to publish at a time, until the one that is refused is alone; that one is put aside. */
  const separate = async (table: OutboxTable, { entries }: Batch, error: Error): Promise<number> => {
    const [entry] = entries;
    if (!entry || entries.length > 1) return Math.ceil(entries.length / 2);
    await table.putAside(entry);
    const { position, type, topic } = entry.row;
    const eventId = eventIdAt(entry.row, entry.at);
    logger.error(
      { err: error, position, eventId, type, topic },
      'the broker will never take this event: it is put aside',
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
      // Ends the session, and with it the lock, also when the broker has not answered.
      if (client) await close(client);
    },
  };
};

/**
 * A relay that is gone without a word, or frozen, loses its session, and with it the lock, in a bounded time. And its
 * statements go by the indexes in their order: how much waits changes faster than what the planner knows of it, and one
 * that believes in a few entries would read and sort a backlog of a million for each batch.
 */
const sessionSql = `
  SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
  SET idle_session_timeout = '45s';
  ${byIndexesSql}; SET enable_bitmapscan = off; SET enable_sort = off`;

const close = (client: pg.Client): Promise<void> => waitAtMost(client.end(), 1_000);

const endSpans = (batch: Batch | undefined, outcome?: 'failed'): void => {
  for (const span of batch?.spans ?? []) span.end(outcome);
};

/** Makes messages of entries: events get their envelope and signature, copies stay as they are. */
const createSealer = (producer: string, secret: string | undefined) => {
  const sign = createEnvelopeSigner(secret === undefined ? undefined : producerKey(secret, producer));
  return (entries: readonly OutboxEntry[]): Pick<Batch, 'entries' | 'messages' | 'spans'> => {
    const spans: MessageSpan[] = [];
    let [last, occurredAt]: [OutboxRow?, string?] = [];
    // Hot with bundles: npm run bench -- events. Writing the time of a row anew for each event took twice as long as all else.
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

/** What a promise comes to, as a value: the broker's failures are not the database's. */
const settle = <Value>(promise: Promise<Value>): Promise<{ value: Value } | { error: unknown }> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
