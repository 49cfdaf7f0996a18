import type pg from 'pg';
import { BrokerRefused, type Broker } from './broker.js';
import { printable, type Table } from '@cinegraph/service/terminal';
import { pause } from '@cinegraph/service/timing';

/** What waits in the outbox of a subgraph. */
export interface OutboxLag {
  readonly unpublished: number;
  /** The age of the oldest unpublished event, or null if there is none. */
  readonly oldestSeconds: number | null;
  /** Events that the broker rejected for good. */
  readonly parked: number;
}

/** How many messages of a topic a consumer group has not committed yet. */
export interface ConsumerLag {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly lag: bigint;
}

/** The number of dead letters of a consumer with one code, by state. */
export interface DeadLetterCount {
  readonly consumer: string;
  readonly code: string;
  readonly open: number;
  readonly replayed: number;
  readonly dropped: number;
}

/** The events of one subgraph that are still on their way. */
export interface Lag {
  readonly subgraph: string;
  readonly outbox: OutboxLag;
  /** Undefined if the broker did not answer. */
  readonly consumers: readonly ConsumerLag[] | undefined;
  readonly deadLetters: readonly DeadLetterCount[];
}

/** A consumer group and the topics that it reads. */
export interface ConsumerGroup {
  readonly group: string;
  readonly topics: readonly string[];
}

/** How long to wait for the broker's answer. */
const answerWithinMs = 5_000;

/**
 * Reads the lag of one subgraph from its database and from the broker. If the broker does not answer within
 * five seconds, `consumers` is undefined and the rest is returned. Rejects if the database is unavailable,
 * and with a {@link BrokerRefused} if the broker rejects the credentials.
 */
export const readLag = async (options: {
  readonly subgraph: string;
  readonly pool: pg.Pool;
  readonly broker: Pick<Broker, 'positions'>;
  readonly consumers: readonly ConsumerGroup[];
}): Promise<Lag> => {
  const { subgraph, pool, broker, consumers } = options;
  return {
    subgraph,
    outbox: await readOutboxLag(pool),
    consumers: await readConsumerLags(broker, consumers),
    // Only a subgraph that consumes has the table.
    deadLetters: consumers.length === 0 ? [] : await countDeadLetters(pool),
  };
};

const readOutboxLag = async (pool: pg.Pool): Promise<OutboxLag> => {
  const { rows } = await pool.query<OutboxLag>(outboxSql);
  return rows[0] ?? { unpublished: 0, oldestSeconds: null, parked: 0 };
};

const outboxSql = `
    SELECT coalesce(sum(size), 0)::int AS unpublished,
      extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS "oldestSeconds",
      (SELECT count(*)::int FROM messaging.outbox_parked WHERE resent_as IS NULL) AS parked
    FROM messaging.outbox WHERE published_at IS NULL`;

const readConsumerLags = async (
  broker: Pick<Broker, 'positions'>,
  consumers: readonly ConsumerGroup[],
): Promise<readonly ConsumerLag[] | undefined> => {
  const asked = Promise.all(
    consumers.map(async ({ group, topics }) => {
      const positions = await broker.positions(group, topics);
      return topics.map((topic): ConsumerLag => {
        const partitions = positions.filter((position) => position.topic === topic);
        const lag = partitions.reduce(
          // A committed offset beyond the end means that the broker lost messages which this group had read;
          // the group restarts at the oldest one.
          (sum, { committed, end }) => sum + (committed === null || committed > end ? end : end - committed),
          0n,
        );
        return { group, topic, partitions: partitions.length, lag };
      });
    }),
  ).catch((error: unknown) => {
    // Asking again cannot help: a person has to change the credentials first.
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
    FROM messaging.dead_letter GROUP BY consumer, code ORDER BY open DESC, consumer, code`);
  return rows;
};

/**
 * Returns the lag as three tables for a terminal: outbox, consumers and dead letters. Each row names its
 * subgraph, so that the rows of several subgraphs can be put into one table.
 */
export const lagTables = ({ subgraph, outbox, consumers, deadLetters }: Lag): readonly Table[] => [
  {
    head: ['OUTBOX', 'UNPUBLISHED', 'OLDEST', 'PARKED'],
    rows: [
      [
        subgraph,
        String(outbox.unpublished),
        outbox.oldestSeconds === null ? '-' : `${outbox.oldestSeconds.toFixed(1)} s`,
        String(outbox.parked),
      ],
    ],
  },
  {
    head: ['CONSUMER GROUP', 'TOPIC', 'PARTITIONS', 'LAG'],
    rows: consumers?.map(({ group, topic, partitions, lag }) => [
      group,
      topic,
      String(partitions),
      String(lag),
    ]) ?? [[`${subgraph}: the broker does not answer`, '', '?', '?']],
  },
  {
    head: ['DEAD LETTERS OF', 'CODE', 'OPEN', 'REPLAYED', 'DROPPED'],
    rows: deadLetters.map(({ consumer, code, open, replayed, dropped }) => [
      printable(`${subgraph}.${consumer}`),
      printable(code),
      ...[open, replayed, dropped].map(String),
    ]),
  },
];
