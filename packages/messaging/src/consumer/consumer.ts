import type pg from 'pg';
import { byIndexesSql, openSidePool } from '@cinegraph/database/pool';
import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isConflict, isStoreBroken, isTimedOut, isUnavailable } from '@cinegraph/database/store-errors';
import { inTransaction, type RawTransaction } from '@cinegraph/database/transaction';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import type { Refusal } from '@cinegraph/service/refusal';
import { openMessageSpan, type MessageSpan } from '@cinegraph/service/telemetry/tracing';
import { printable } from '@cinegraph/service/terminal';
import type { Broker, IncomingMessage } from '../broker.js';
import { writeDeadLetters, type MessageFault, type RefusedMessage } from './dead-letters.js';
import { claimDedupKeys, recordDedupKey } from './inbox.js';
import { recordSettings, type ConsumerSettings } from './settings.js';

/** A message as an event to handle, or as a fault that makes it a dead letter, with its deduplication key. */
export type DecodedMessage<Event> =
  | { readonly dedupKey: string; readonly event: Event; readonly trace?: string | null }
  | ({ readonly dedupKey: string } & MessageFault);

/** What a consumer reads, and how it handles it. */
export interface ConsumerDefinition<Event> {
  /** Unique in its subgraph; the consumer group is `<subgraph>.<name>`. */
  readonly name: string;
  readonly topics: readonly string[];
  readonly deadLetterTopic: (topic: string) => string;
  readonly maxBatch?: number;
  /** The variables that decide how it decodes. Stored at each start, because a replay must use the same. */
  readonly settings?: ConsumerSettings;
  /**
   * Decodes a message, without side effects. Returns null for a message that does not concern this consumer.
   */
  decode(message: IncomingMessage): DecodedMessage<Event> | null;
  /**
   * Applies new events with set-based statements, in the open transaction and nowhere else. It may return a
   * refusal or null for each event, in their order; a refused event must have no effect and becomes a dead
   * letter. If it rejects, the whole batch is rolled back.
   */
  handle(tx: RawTransaction, events: readonly Event[]): Promise<readonly (Refusal | null)[] | undefined>;
  /** Called after a transaction with new events was committed, and not if the process ends in between. */
  readonly committed?: () => void;
}

/** What happened to messages. */
interface Tally {
  handled: number;
  duplicates: number;
  dead: number;
}

/** The fault of a message whose decoder or handler failed because of a bug. */
export const handlerFailed: MessageFault = {
  code: 'HANDLER_FAILED',
  reason:
    'It could not be handled because of a fault of this service; see its log. Replay it once that is fixed.',
};

/** A batch that times out is halved down to this size. A smaller one is not: then the database is slow. */
const smallestTimedBatch = 100;

const reportEveryMs = 30_000;

/**
 * Creates a part that handles each message exactly once in effect. Deduplication keys, effects and dead
 * letters of a batch are one transaction, and the broker commits the offset after it. A message with a known
 * key is skipped. A message that cannot be decoded, is refused, or fails even alone becomes a dead letter, so
 * that no partition stalls on it. While the database is unavailable, or fails for any message, the batch
 * rejects, and the broker delivers it again.
 */
export const createConsumer = <Event>(
  tools: {
    readonly subgraph: string;
    readonly broker: Pick<Broker, 'subscribe'>;
    /** The pool of the subgraph's database; the consumer opens a smaller one with the same options. */
    readonly pool: pg.Pool;
    readonly logger: Logger;
  },
  definition: ConsumerDefinition<Event>,
): Part => {
  const { subgraph, broker } = tools;
  const { name, topics, maxBatch, settings } = definition;
  const logger = tools.logger.child({ consumer: name });
  // A batch of thousands takes longer than a command, and waits longer for rows that commands lock.
  const pool = openSidePool(tools.pool, {
    maxConnections: 8,
    statementTimeoutMs: 30_000,
    lockTimeoutMs: 10_000,
    connectTimeoutMs: 10_000,
    sessionSql: byIndexesSql,
  });
  const total: Tally = { handled: 0, duplicates: 0, dead: 0 };
  let reportedAt = 0;
  const report = (now: number) => {
    if (total.handled + total.duplicates + total.dead === 0) return;
    logger.info({ ...total }, 'messages consumed');
    Object.assign(total, { handled: 0, duplicates: 0, dead: 0 });
    reportedAt = now;
  };
  const subscription = broker.subscribe({
    group: `${subgraph}.${name}`,
    topics,
    ...(maxBatch !== undefined && { maxBatch }),
    onBatch: async (messages) => {
      const entries = messages.flatMap((message) => {
        const decoded = decodeMessage(definition, message, logger);
        return decoded ? [{ message, decoded }] : [];
      });
      if (entries.length > 0) await consumeEntries({ pool, logger, total }, definition, entries);
      const now = performance.now();
      if (now - reportedAt >= reportEveryMs) report(now);
    },
  });
  return {
    name: `consumer ${name}`,
    start: async () => {
      if (settings) await recordSettings(pool, name, settings);
      await subscription.start();
    },
    stop: async () => {
      try {
        await subscription.stop();
      } finally {
        report(0);
        await pool.end();
      }
    },
  };
};

/** Decodes a message. One on which the decoder throws, which is a bug, becomes a dead letter. */
export const decodeMessage = <Event>(
  { decode }: Pick<ConsumerDefinition<Event>, 'decode'>,
  message: IncomingMessage,
  logger: Logger,
): DecodedMessage<Event> | null => {
  try {
    return decode(message);
  } catch (error) {
    const dedupKey = recordDedupKey(message);
    logger.error({ err: error, dedupKey }, 'the decoder failed on a message, which becomes a dead letter');
    return { dedupKey, ...handlerFailed };
  }
};

interface Entry<Event> {
  readonly message: IncomingMessage;
  readonly decoded: DecodedMessage<Event>;
}

interface BatchTools {
  readonly pool: pg.Pool;
  readonly logger: Logger;
  readonly total: Tally;
}

/**
 * Writes entries in one transaction. If it fails because of one of them, halves the entries until that one is
 * alone, and makes it a dead letter.
 */
const consumeEntries = async <Event>(
  tools: BatchTools,
  definition: ConsumerDefinition<Event>,
  entries: readonly Entry<Event>[],
): Promise<void> => {
  const { pool, logger, total } = tools;
  try {
    const { tally, refused } = await retryOnConflict(() => writeTraced(pool, definition, entries));
    total.handled += tally.handled;
    total.duplicates += tally.duplicates;
    total.dead += tally.dead;
    if (tally.handled > 0) definition.committed?.();
    warnOfDead(logger, refused);
  } catch (error) {
    if (!isCausedByEntries(error, entries)) throw error;
    const [first, ...others] = entries;
    if (!first) throw error;
    if (others.length > 0) {
      const middle = Math.ceil(entries.length / 2);
      await consumeEntries(tools, definition, entries.slice(0, middle));
      await consumeEntries(tools, definition, entries.slice(middle));
      return;
    }
    const { message, decoded } = first;
    // Storing the dead letter failed: the message is not the cause.
    if (!('event' in decoded)) throw error;
    const { dedupKey } = decoded;
    logger.error({ err: error, dedupKey }, 'the handler failed on a message, which becomes a dead letter');
    await consumeEntries(tools, definition, [{ message, decoded: { dedupKey, ...handlerFailed } }]);
  }
};

/** Returns true if some of the entries could succeed without the others. */
const isCausedByEntries = (error: unknown, entries: readonly unknown[]): boolean => {
  if (isTimedOut(error)) return entries.length > smallestTimedBatch;
  return !isConflict(error) && !isUnavailable(error) && !isStoreBroken(error);
};

interface Written {
  readonly tally: Tally;
  readonly refused: readonly RefusedMessage[];
}

/** Writes entries in one transaction; each new event gets a span in the trace that it carries. */
const writeTraced = async <Event>(
  pool: pg.Pool,
  definition: ConsumerDefinition<Event>,
  entries: readonly Entry<Event>[],
): Promise<Written> => {
  const spans: MessageSpan[] = [];
  let outcome: 'failed' | undefined = 'failed';
  try {
    const written = await inTransaction(pool, (tx) => writeEntries(tx, definition, entries, spans));
    outcome = undefined;
    return written;
  } finally {
    for (const span of spans) span.end(outcome);
  }
};

/**
 * Claims the deduplication keys, handles the new events and stores the dead letters, in the open transaction.
 * Opens spans for the caller to end.
 */
const writeEntries = async <Event>(
  tx: RawTransaction,
  definition: ConsumerDefinition<Event>,
  entries: readonly Entry<Event>[],
  spans: MessageSpan[],
): Promise<Written> => {
  const byDedupKey = new Map<string, Entry<Event>>();
  for (const entry of entries) {
    if (!byDedupKey.has(entry.decoded.dedupKey)) byDedupKey.set(entry.decoded.dedupKey, entry);
  }
  const fresh = await claimDedupKeys(tx, definition.name, [...byDedupKey.keys()]);
  const events: (Entry<Event> & { readonly event: Event })[] = [];
  const refused: RefusedMessage[] = [];
  for (const [dedupKey, { message, decoded }] of byDedupKey) {
    if (!fresh.has(dedupKey)) continue;
    if ('event' in decoded) {
      events.push({ message, decoded, event: decoded.event });
      const span = openMessageSpan(decoded.trace, `process ${message.topic}`, 'consumer');
      if (span) spans.push(span);
    } else refused.push({ message, ...decoded });
  }
  const outcomes =
    events.length === 0
      ? undefined
      : await definition.handle(
          tx,
          events.map(({ event }) => event),
        );
  events.forEach(({ message, decoded: { dedupKey } }, index) => {
    const refusal = outcomes?.[index];
    if (refusal) refused.push({ message, dedupKey, code: refusal.code, reason: refusal.message });
  });
  await writeDeadLetters(
    tx,
    { consumer: definition.name, deadLetterTopic: definition.deadLetterTopic },
    refused,
  );
  return {
    tally: {
      handled: fresh.size - refused.length,
      duplicates: entries.length - fresh.size,
      dead: refused.length,
    },
    refused,
  };
};

/** Logs one line per code, with the first message, so that many bad messages do not flood the log. */
const warnOfDead = (logger: Logger, refused: readonly RefusedMessage[]): void => {
  const counts = new Map<string, number>();
  for (const { code } of refused) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const [code, count] of counts) {
    const first = refused.find((one) => one.code === code);
    if (!first) continue;
    const { topic, partition, offset } = first.message;
    logger.warn(
      {
        code,
        count,
        first: { topic, partition, offset: String(offset), reason: printable(first.reason.slice(0, 200)) },
      },
      'messages became dead letters',
    );
  }
};
