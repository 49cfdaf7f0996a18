import { randomUUID } from 'node:crypto';
import type { GroupPosition } from '@cinegraph/messaging/broker';
import { createEnvelopeReader, isEnvelopeFault } from '@cinegraph/messaging/envelope';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { expect } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { differenceOf, storedTotals, totalsOf, type FaultWorld } from './world.js';
import { faultTimeoutMs } from './support.js';

/** An event that was read from the broker. */
export interface PublishedEvent {
  readonly id: string;
  readonly type: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** All events of some topics, read by a consumer of the test. */
export interface PublishedLog {
  /** The events in the order of each partition. A message that was delivered twice is listed once. */
  readonly events: () => readonly PublishedEvent[];
  /** Waits until the current ends of all partitions are read. */
  caughtUp(): Promise<void>;
  /** Forgets all events, because the broker has lost its log. */
  forget(): void;
  stop(): Promise<void>;
}

/** Starts to read. A message that is not a signed envelope of ours makes `caughtUp` fail. */
export const readPublished = async (world: FaultWorld, topics: readonly string[]): Promise<PublishedLog> => {
  const read = createEnvelopeReader(testSubgraphKey);
  const group = `faults.${randomUUID()}`;
  let byPlace = new Map<string, PublishedEvent>();
  const faults: string[] = [];
  const part = world.broker.subscribe({
    group,
    topics,
    onBatch: async (messages) => {
      for (const message of messages) {
        const { topic, partition, offset } = message;
        const envelope = read(message);
        if (isEnvelopeFault(envelope)) faults.push(`${topic}: ${envelope.reason}`);
        else {
          const { id, type, key } = envelope;
          const data = envelope.data as PublishedEvent['data'];
          byPlace.set(`${topic}/${partition}/${offset}`, { id, type, topic, partition, offset, key, data });
        }
      }
    },
  });
  await part.start();
  return {
    events: () => {
      if (faults.length > 0) throw new Error(faults[0]);
      return [...byPlace.values()].sort((one, other) => Number(one.offset - other.offset));
    },
    caughtUp: async () => {
      let target: readonly GroupPosition[] | undefined;
      await until(
        async () => {
          // Positions cannot be read while the broker is unavailable. Events published meanwhile are not
          // waited for.
          const now = await world.broker.positions(group, topics).catch(() => undefined);
          target ??= now;
          const passed = ({ topic, partition, end }: GroupPosition): boolean =>
            (now?.find((one) => one.topic === topic && one.partition === partition)?.committed ?? 0n) >= end;
          return target?.every(passed) ?? false;
        },
        'the test has read everything published',
        faultTimeoutMs,
      );
    },
    forget: () => {
      byPlace = new Map();
    },
    stop: () => part.stop(),
  };
};

/** Waits until the outbox has no unpublished entry. Returns how many milliseconds that took. */
export const drained = async ({ pool }: Pick<FaultWorld, 'pool'>): Promise<number> => {
  const from = performance.now();
  await until(
    async () => {
      const { rows } = await pool.query<{ waiting: boolean }>(
        'SELECT EXISTS (SELECT FROM messaging.outbox WHERE published_at IS NULL) AS waiting',
      );
      return rows[0]?.waiting === false;
    },
    'the outbox is empty',
    30_000,
  );
  return performance.now() - from;
};

/**
 * Audits everything that is published, and expects no fault. `again` counts messages that repeat an earlier
 * one.
 */
export const auditAll = async ({ pool }: Pick<FaultWorld, 'pool'>, log: PublishedLog) => {
  await drained({ pool });
  await log.caughtUp();
  const published = await auditPublished(pool, log);
  const effects = await auditEffects(pool, log);
  expect({ published, effects }).toMatchObject(nothingWrong);
  return { ...published, double: effects.ratings.double + effects.aggregates.double };
};

/**
 * Compares the published events with the outbox, which has no unpublished entry.
 *
 * - lost: entries that the broker does not have
 * - phantom: events without an entry
 * - again: messages that repeat an earlier one
 * - disorder: keys whose events, each at its first occurrence, are on two partitions or not in the order of
 * entries
 */
export const auditPublished = async (pool: FaultWorld['pool'], log: PublishedLog) => {
  const { rows } = await pool.query<{ id: string; position: string; ordinal: number }>(
    'SELECT event_id AS id, position, ordinal FROM messaging.outbox_event WHERE type IS NOT NULL',
  );
  const positions = new Map(
    rows.map(({ id, position, ordinal }) => [id, BigInt(position) * 1_000n + BigInt(ordinal)]),
  );
  const events = log.events();
  const first = firstOf(events);
  const partitions = new Map<string, Set<number>>();
  for (const { topic, key, partition } of events) {
    const slot = `${topic}/${key}`;
    partitions.set(slot, (partitions.get(slot) ?? new Set()).add(partition));
  }
  const disorder = new Set([...partitions].flatMap(([slot, all]) => (all.size > 1 ? [slot] : [])));
  const last = new Map<string, bigint>();
  for (const { id, topic, key } of first.values()) {
    const slot = `${topic}/${key}`;
    const position = positions.get(id) ?? -1n;
    if (position < (last.get(slot) ?? -1n)) disorder.add(slot);
    last.set(slot, position);
  }
  return {
    entries: rows.length,
    lost: rows.filter(({ id }) => !first.has(id)).length,
    phantom: [...first.keys()].filter((id) => !positions.has(id)).length,
    again: events.length - first.size,
    disorder: disorder.size,
  };
};

/**
 * Compares the tables with what a consumer that applies each id once computes from the ratings and from the
 * newest version of each movie's aggregate. `backwards` counts movies whose versions do not increase on their
 * partition, each event at its first occurrence.
 */
export const auditEffects = async (pool: FaultWorld['pool'], log: PublishedLog) => {
  const once = [...firstOf(log.events()).values()];
  const ratings = once.filter(({ type }) => type === 'RatingSubmitted' || type === 'RatingRetracted');
  const votes = ratings.map(({ data }) => ({
    movieId: String(data['movieId']),
    viewerId: String(data['viewerId']),
    score: data['score'] === undefined ? null : Number(data['score']),
  }));
  const states = new Map<string, { version: number; count: number; sum: number }>();
  const backwards = new Set<string>();
  for (const { type, key, data } of once) {
    if (type !== 'AggregatedRatingChanged') continue;
    const version = Number(data['version']);
    if (version <= (states.get(key)?.version ?? 0)) backwards.add(key);
    else states.set(key, { version, count: Number(data['count']), sum: Number(data['sum']) });
  }
  const stored = await storedTotals(pool);
  const computed = new Map(
    [...states].flatMap(([id, { count, sum }]) => (count > 0 ? [[id, { count, sum }] as const] : [])),
  );
  return {
    ratings: differenceOf(stored, totalsOf(votes)),
    aggregates: differenceOf(stored, computed),
    backwards: backwards.size,
  };
};

const firstOf = (events: readonly PublishedEvent[]): ReadonlyMap<string, PublishedEvent> => {
  const first = new Map<string, PublishedEvent>();
  for (const event of events) if (!first.has(event.id)) first.set(event.id, event);
  return first;
};

/** The result of an audit without faults. */
export const nothingWrong = {
  published: { lost: 0, phantom: 0, disorder: 0 },
  effects: { ratings: { lost: 0, double: 0 }, aggregates: { lost: 0, double: 0 }, backwards: 0 },
} as const;
