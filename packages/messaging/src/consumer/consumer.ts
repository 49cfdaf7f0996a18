import type pg from 'pg';
import type { Broker, IncomingMessage } from '../broker.js';
import { byIndexesSql, openSidePool } from '@cinegraph/database/pool';
import { writeDeadLetters, type MessageFault, type RefusedMessage } from './dead-letters.js';
import { isConflict, isTimedOut, isUnavailable, isStoreBroken } from '@cinegraph/database/store-errors';
import type { Refusal } from '@cinegraph/service/refusal';
import type { RawTransaction } from '@cinegraph/database/transaction';
import { claimDedupKeys, recordDedupKey } from './inbox.js';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { printable } from '@cinegraph/service/terminal';
import { openMessageSpan, type MessageSpan } from '@cinegraph/service/telemetry/tracing';
import { inTransaction } from '@cinegraph/database/transaction';

/** A message read: an event to handle, or a fault that makes it a dead letter; known again by its identity. */
export type DecodedMessage<Event> =
  | { readonly identity: string; readonly event: Event; readonly trace?: string | null }
  | ({ readonly identity: string } & MessageFault);

/** What a consumer takes in, and how. */
export interface ConsumerDefinition<Event> {
  /** Unique in its subgraph, whose consumer group `<subgraph>.<name>` it is. */
  readonly name: string;
  readonly topics: readonly string[];
  readonly deadLetterTopic: (topic: string) => string;
  readonly maxBatch?: number;
  /** Pure. Null leaves a message out that is nothing to this consumer. */
  decode(message: IncomingMessage): DecodedMessage<Event> | null;
  /**
   * Does what new events say, set-based, in the open transaction and on it alone. It may answer a refusal for each, in their
   * order: those have no effect and become dead letters. When it rejects, nothing of the batch stands.
   */
  handle(tx: RawTransaction, events: readonly Event[]): Promise<readonly (Refusal | null)[] | undefined>;
}

/** What became of messages. */
interface Tally {
  handled: number;
  duplicates: number;
  dead: number;
}

/** The code of a dead letter that the handler failed on: a fault of ours. */
export const handlerFailed: MessageFault = {
  code: 'HANDLER_FAILED',
  reason: 'It could not be handled for a fault of ours, which the log tells. Replay it when that is mended.',
};

const maxConflicts = 5;

/** A batch that the store cuts off for its time is split down to so many; below, the store is slow, not the batch large. */
const smallestTimedBatch = 100;

const reportEveryMs = 30_000;

/**
 * A part that takes messages in exactly once in effect: identities, effects and dead letters of a batch are one transaction,
 * and the broker commits the offset behind it. A message of a seen identity is left out; what cannot be read, is refused,
 * or makes the handler fail when it stands alone becomes a dead letter, so that no partition ever stalls on it. While the
 * store is away, or broken for any message, the batch rejects, for the broker to deliver it again.
 */
export const createConsumer = <Event>(
  tools: {
    readonly subgraph: string;
    readonly broker: Pick<Broker, 'subscribe'>;
    /** Of the subgraph's database; the consumer works on a few connections of its own beside it. */
    readonly pool: pg.Pool;
    readonly logger: Logger;
  },
  definition: ConsumerDefinition<Event>,
): Part => {
  const { subgraph, broker } = tools;
  const { name, topics, maxBatch } = definition;
  const logger = tools.logger.child({ consumer: name });
  // A batch of thousands takes longer than a command may, and waits longer for what commands have locked.
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
    logger.info({ ...total }, 'messages taken in');
    Object.assign(total, { handled: 0, duplicates: 0, dead: 0 });
    reportedAt = now;
  };
  const subscription = broker.subscribe({
    group: `${subgraph}.${name}`,
    topics,
    ...(maxBatch !== undefined && { maxBatch }),
    onBatch: async (messages) => {
      await consumeBatch({ pool, logger, total }, definition, messages);
      const now = performance.now();
      if (now - reportedAt >= reportEveryMs) report(now);
    },
  });
  return {
    name: `consumer ${name}`,
    start: () => subscription.start(),
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

interface Entry<Event> {
  readonly message: IncomingMessage;
  readonly decoded: DecodedMessage<Event>;
}

interface BatchTools {
  readonly pool: pg.Pool;
  readonly logger: Logger;
  readonly total: Tally;
}

/** Takes a batch in as `createConsumer` says. */
const consumeBatch = async <Event>(
  tools: BatchTools,
  definition: ConsumerDefinition<Event>,
  messages: readonly IncomingMessage[],
): Promise<void> => {
  const entries = messages.flatMap((message) => {
    const decoded = decodeMessage(definition, message, tools.logger);
    return decoded ? [{ message, decoded }] : [];
  });
  if (entries.length > 0) await takeIn(tools, definition, entries);
};

/** Reads a message; a decoder that throws, which it should not, makes it a dead letter. */
export const decodeMessage = <Event>(
  { decode }: Pick<ConsumerDefinition<Event>, 'decode'>,
  message: IncomingMessage,
  logger: Logger,
): DecodedMessage<Event> | null => {
  try {
    return decode(message);
  } catch (error) {
    const identity = recordDedupKey(message);
    logger.error({ err: error, identity }, 'a message could not be read for a fault of ours');
    return { identity, ...handlerFailed };
  }
};

const takeIn = async <Event>(
  tools: BatchTools,
  definition: ConsumerDefinition<Event>,
  entries: readonly Entry<Event>[],
  conflicts = 0,
): Promise<void> => {
  const { pool, logger, total } = tools;
  const spans: MessageSpan[] = [];
  try {
    const { tally, refused } = await inTransaction(pool, (tx) => writeBatch(tx, definition, entries, spans));
    for (const span of spans) span.end();
    total.handled += tally.handled;
    total.duplicates += tally.duplicates;
    total.dead += tally.dead;
    warnOfDead(logger, refused);
  } catch (error) {
    for (const span of spans) span.end('failed');
    if (isConflict(error)) {
      if (conflicts + 1 >= maxConflicts) throw error;
      await takeIn(tools, definition, entries, conflicts + 1);
      return;
    }
    const splits = isTimedOut(error)
      ? entries.length > smallestTimedBatch
      : !isUnavailable(error) && !isStoreBroken(error);
    if (!splits) throw error;
    if (entries.length > 1) {
      const middle = Math.ceil(entries.length / 2);
      await takeIn(tools, definition, entries.slice(0, middle));
      await takeIn(tools, definition, entries.slice(middle));
      return;
    }
    const culprit = entries.map(({ message, decoded: { identity } }) => ({
      message,
      decoded: { identity, ...handlerFailed },
    }));
    // One that fails as a dead letter already is no message's fault.
    if (entries.some(({ decoded }) => !('event' in decoded))) throw error;
    logger.error({ err: error, identity: culprit[0]?.decoded.identity }, 'a message could not be handled');
    await takeIn(tools, definition, culprit);
  }
};

/**
 * Claims the identities, handles what is new and stores what is refused, in the open transaction. Each new event gets a
 * span in the trace that it carries, put into `spans` for the caller to end.
 */
const writeBatch = async <Event>(
  tx: RawTransaction,
  definition: ConsumerDefinition<Event>,
  entries: readonly Entry<Event>[],
  spans: MessageSpan[],
): Promise<{ readonly tally: Tally; readonly refused: readonly RefusedMessage[] }> => {
  const byIdentity = new Map<string, Entry<Event>>();
  for (const entry of entries) {
    if (!byIdentity.has(entry.decoded.identity)) byIdentity.set(entry.decoded.identity, entry);
  }
  const fresh = await claimDedupKeys(tx, definition.name, [...byIdentity.keys()]);
  const events: (Entry<Event> & { readonly event: Event })[] = [];
  const refused: RefusedMessage[] = [];
  for (const [identity, { message, decoded }] of byIdentity) {
    if (!fresh.has(identity)) continue;
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
  events.forEach(({ message, decoded: { identity } }, at) => {
    const refusal = outcomes?.[at];
    if (refusal) refused.push({ message, identity, code: refusal.code, reason: refusal.message });
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

/** One line for each code of a batch, with the first message of it: a flood of bad messages is no flood of lines. */
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
