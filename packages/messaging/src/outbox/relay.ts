import { byIndexesSql } from '@cinegraph/database/pool';
import type { Logger } from '@cinegraph/service/logger';
import { createOutage } from '@cinegraph/service/outage';
import type { Part } from '@cinegraph/service/parts';
import { pause, waitAtMost } from '@cinegraph/service/timing';
import { createWakeUp } from '@cinegraph/service/wake-up';
import pg from 'pg';
import type { Broker } from '../broker.js';
import { createBatcher } from './batch.js';
import { publishOutbox } from './publishing.js';
import { openOutboxTable } from './table.js';

/** The advisory lock of the relay. The number is arbitrary; each database has its own lock. */
const relayLock = 4_203_003;

/** How often a waiting relay tries the lock. */
const tryLockMs = 1_000;

/**
 * How long a stop waits for the broker. What is not acknowledged by then is published again by the next
 * relay.
 */
const stopWithinMs = 5_000;

/**
 * Creates the relay, which publishes the outbox of the database of `pool` over a connection of its own. One
 * relay works at a time, by an advisory lock of that session; another takes over a second after it is gone.
 *
 * Events are published in order of position, marked when the broker has acknowledged them, and deleted 72
 * hours later; a crash in between publishes at most one batch again. While the broker is unavailable the
 * relay retries with back-off. An event that the broker rejects for good is parked. If the broker has lost
 * messages, everything of their topics that is still in the outbox is published again.
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
  const toBatch = createBatcher(producer, secret);
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
        if (await takeLock(client)) {
          await client.query('LISTEN outbox');
          const table = openOutboxTable(client);
          await publishOutbox({ table, broker, toBatch, wakeUp, brokerOutage, logger, signal });
        }
      } catch (error) {
        if (!stopped()) await pause(storeOutage.failed(error), signal);
      } finally {
        await close(client);
      }
    }
  };

  /** Tries the lock until it is taken, and returns true; returns false if the relay is stopped. */
  const takeLock = async (session: pg.Client): Promise<boolean> => {
    while (!stopped()) {
      const { rows } = await session.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
        relayLock,
      ]);
      storeOutage.over();
      if (rows[0]?.taken) return true;
      await pause(tryLockMs, signal);
    }
    return false;
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
