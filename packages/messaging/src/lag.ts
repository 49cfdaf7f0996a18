import type pg from 'pg';
import { BrokerRefused, type Broker } from './broker.js';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { pause } from '@cinegraph/service/timing';
import { standsAside } from './outbox/table.js';
import { printable } from '@cinegraph/service/terminal';

/** What waits in one database's outbox. */
export interface OutboxLag {
  readonly unpublished: number;
  /** The age of the oldest of them; null where nothing waits. */
  readonly oldestSeconds: number | null;
  /** Entries that the broker will never take. */
  readonly putAside: number;
}

/** What a consumer has still to take in of a topic. */
export interface ConsumerLag {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly behind: bigint;
}

/** Messages that could not be taken in, by code and state. */
export interface DeadLetterCount {
  readonly consumer: string;
  readonly code: string;
  readonly open: number;
  readonly replayed: number;
  readonly dropped: number;
}

/** Where events are that have not arrived yet; consumers are undefined while the broker does not answer. */
export interface Lag {
  /** Undefined where the database does not answer. */
  readonly outboxes: Readonly<Record<string, OutboxLag | undefined>>;
  readonly consumers: readonly ConsumerLag[] | undefined;
  readonly deadLetters: readonly DeadLetterCount[];
}

/** So long the broker is given. */
const answerWithinMs = 5_000;

/**
 * Looks where events are: in the outboxes of these databases, with the broker, and among the dead letters of `own`. A
 * broker that does not answer within five seconds is away, and the rest is told all the same.
 */
export const readLag = async (options: {
  readonly own: pg.Pool;
  readonly outboxes: Readonly<Record<string, pg.Pool>>;
  readonly broker: Pick<Broker, 'positions'>;
  /** The consumer groups, and what they read. */
  readonly consumers: readonly { readonly group: string; readonly topics: readonly string[] }[];
}): Promise<Lag> => {
  const { own, outboxes, broker, consumers } = options;
  return {
    outboxes: Object.fromEntries(
      await Promise.all(
        Object.entries(outboxes).map(
          async ([database, pool]) => [database, await readOutboxLag(pool)] as const,
        ),
      ),
    ),
    consumers: await readConsumerLags(broker, consumers),
    deadLetters: await countDeadLetters(own),
  };
};

const readOutboxLag = async (pool: pg.Pool): Promise<OutboxLag | undefined> => {
  const { rows } = await pool
    .query<OutboxLag>(outboxSql)
    .catch((error: unknown): { readonly rows: readonly OutboxLag[] } => {
      if (isUnavailable(error)) return { rows: [] };
      throw error;
    });
  return rows[0];
};

const outboxSql = `
    SELECT unpublished, "oldestSeconds", "putAside" FROM (
      SELECT coalesce(sum(CASE WHEN published_partitions IS NULL THEN size
          ELSE cardinality(array_positions(published_partitions, NULL)) END), 0)::int AS unpublished,
        extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS "oldestSeconds"
      FROM outbox WHERE published_at IS NULL
    ) AS waiting, (
      SELECT coalesce(sum(cardinality(array_positions(published_partitions, ${standsAside}))), 0)::int AS "putAside"
      FROM outbox WHERE aside_at IS NOT NULL
    ) AS aside`;

const readConsumerLags = async (
  broker: Pick<Broker, 'positions'>,
  consumers: readonly { readonly group: string; readonly topics: readonly string[] }[],
): Promise<readonly ConsumerLag[] | undefined> => {
  const asked = Promise.all(
    consumers.map(async ({ group, topics }) => {
      const positions = await broker.positions(group, topics);
      return topics.map((topic): ConsumerLag => {
        const partitions = positions.filter((position) => position.topic === topic);
        const behind = partitions.reduce(
          // Beyond the end is who has read what the broker lost: it begins anew.
          (sum, { committed, end }) => sum + (committed === null || committed > end ? end : end - committed),
          0n,
        );
        return { group, topic, partitions: partitions.length, behind };
      });
    }),
  ).catch((error: unknown) => {
    // It would not go away by looking again.
    if (error instanceof BrokerRefused) throw error;
    return undefined;
  });
  const over = new AbortController();
  const lags = await Promise.race([asked, pause(answerWithinMs, over.signal).then(() => undefined)]);
  over.abort();
  return lags?.flat();
};

const countDeadLetters = async (pool: pg.Pool): Promise<readonly DeadLetterCount[]> => {
  const { rows } = await pool.query<DeadLetterCount>(`
    SELECT consumer, code, count(*) FILTER (WHERE state = 'open')::int AS open,
      count(*) FILTER (WHERE state = 'replayed')::int AS replayed,
      count(*) FILTER (WHERE state = 'dropped')::int AS dropped
    FROM dead_letter GROUP BY consumer, code ORDER BY open DESC, consumer, code`);
  return rows;
};

/** The lag as three small tables for a terminal. */
export const formatLag = ({ outboxes, consumers, deadLetters }: Lag): string => {
  const away = [['the broker does not answer', '', '?', '?']];
  return [
    table(
      ['OUTBOX', 'UNPUBLISHED', 'OLDEST', 'PUT ASIDE'],
      Object.entries(outboxes).map(([database, lag]) =>
        lag
          ? [
              database,
              String(lag.unpublished),
              lag.oldestSeconds === null ? '-' : `${lag.oldestSeconds.toFixed(1)} s`,
              String(lag.putAside),
            ]
          : [`${database} does not answer`, '?', '?', '?'],
      ),
    ),
    table(
      ['CONSUMER', 'TOPIC', 'PARTITIONS', 'BEHIND'],
      consumers?.map(({ group, topic, partitions, behind }) => [
        group,
        topic,
        String(partitions),
        String(behind),
      ]) ?? away,
    ),
    table(
      ['DEAD LETTERS OF', 'CODE', 'OPEN', 'REPLAYED', 'DROPPED'],
      deadLetters.length === 0
        ? [['none', '', '', '', '']]
        : deadLetters.map(({ consumer, code, open, replayed, dropped }) => [
            printable(consumer),
            printable(code),
            ...[open, replayed, dropped].map(String),
          ]),
    ),
  ].join('\n');
};

/** Columns as wide as their widest cell. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
};
