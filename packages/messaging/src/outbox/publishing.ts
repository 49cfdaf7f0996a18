import type { Logger } from '@cinegraph/service/logger';
import type { createOutage } from '@cinegraph/service/outage';
import { pause } from '@cinegraph/service/timing';
import type { createWakeUp } from '@cinegraph/service/wake-up';
import { MessageRefused, type Broker } from '../broker.js';
import { endSpans, type Batch } from './batch.js';
import { watchLog } from './log-loss.js';
import { eventIdAt, type OutboxRow, type OutboxTable } from './table.js';

/** How often the table is read when no notification comes. */
const pollMs = 1_000;

const pruneMs = 60_000;
const pruneMoreMs = 250;

/**
 * Publishes the outbox, batch by batch, until `signal` is aborted: while the broker has one batch, the next
 * one is read. While the broker is unavailable, it retries with back-off. Rejects if the database fails.
 */
export const publishOutbox = async (options: {
  readonly table: OutboxTable;
  readonly broker: Broker;
  readonly toBatch: (rows: readonly OutboxRow[]) => Batch;
  /** Signalled when there may be rows to publish. */
  readonly wakeUp: ReturnType<typeof createWakeUp>;
  readonly brokerOutage: ReturnType<typeof createOutage>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> => {
  const { table, broker, toBatch, wakeUp, brokerOutage, logger, signal } = options;
  const log = await watchLog({ table, broker, logger });
  let pruneAt = 0;
  /** The batch after the one that is being published. */
  let ahead: Promise<Batch> | undefined;

  const read = async (besides?: readonly OutboxRow[]): Promise<Batch> => {
    wakeUp.reset();
    return toBatch(await table.read(besides));
  };

  const dropAhead = async (): Promise<void> => {
    const dropped = await ahead;
    ahead = undefined;
    if (dropped) endSpans(dropped, 'failed');
  };

  const backOff = async (error: unknown): Promise<void> => {
    log.checkSoon();
    await pause(brokerOutage.failed(error), signal);
    await table.keepSession();
  };

  /** Returns false if the broker could not be asked. */
  const checkLog = async (): Promise<boolean> => {
    const lost = await settle(log.findLost());
    if ('error' in lost) {
      await backOff(lost.error);
      return false;
    }
    if (lost.value.length > 0) {
      await dropAhead();
      await log.reopen(lost.value);
    }
    return true;
  };

  const publish = async (batch: Batch): Promise<void> => {
    // No transaction is open while the relay waits for the broker.
    const publishing = settle(broker.publish(batch.messages));
    ahead = read(batch.rows);
    // It is handled where the batch is used.
    ahead.catch(() => undefined);
    const published = await publishing;
    if ('error' in published) {
      endSpans(batch, 'failed');
      await dropAhead();
      if (!(await park(batch, published.error))) await backOff(published.error);
      return;
    }
    endSpans(batch);
    brokerOutage.over();
    if (!(await log.mark(batch, published.value))) await dropAhead();
  };

  /** Parks the event that the broker rejected for good. Returns false if the error names none. */
  const park = async ({ messages, sources }: Batch, error: unknown): Promise<boolean> => {
    if (!(error instanceof MessageRefused)) return false;
    const source = sources[messages.indexOf(error.refused)];
    if (!source) return false;
    const { row, at } = source;
    await table.park(row, at, error.message);
    const { position, type, topic } = row;
    logger.error(
      { err: error, position, eventId: eventIdAt(row, at), type, topic },
      'the broker rejected this event for good: it is parked',
    );
    return true;
  };

  while (!signal.aborted) {
    if (performance.now() >= pruneAt) {
      pruneAt = performance.now() + ((await table.prune()) ? pruneMoreMs : pruneMs);
    }
    if (!(await checkLog())) continue;
    const batch = await (ahead ?? read());
    ahead = undefined;
    if (batch.rows.length > 0) await publish(batch);
    else {
      brokerOutage.over();
      await wakeUp.wait(pollMs);
    }
  }
  await dropAhead();
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
