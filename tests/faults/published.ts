import { randomUUID } from 'node:crypto';
import type { GroupPosition } from '@cinegraph/messaging/broker';
import { createEnvelopeReader, isEnvelopeFault } from '@cinegraph/messaging/envelope';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { expect } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { differenceOf, storedTotals, totalsOf, type FaultWorld } from './world.js';
import { faultTimeoutMs } from './support.js';

/** An event as the broker has it. */
export interface PublishedEvent {
  readonly id: string;
  readonly type: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** All that the broker has of these topics, as a consumer of the test's own gets it. */
export interface PublishedLog {
  /** In the order of each partition; a message that was delivered twice is there once. */
  readonly events: () => readonly PublishedEvent[];
  /** Waits until it has read to the ends of this moment. */
  caughtUp(): Promise<void>;
  /** Forgets what it has read: the broker has lost it. */
  forget(): void;
  stop(): Promise<void>;
}

/** Begins to read; messages that are no signed envelope of ours are an error of `events`. */
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
      let wanted: readonly GroupPosition[] | undefined;
      await until(
        async () => {
          // Not while the broker is away. What is published meanwhile is not waited for: it may never end.
          const now = await world.broker.positions(group, topics).catch(() => undefined);
          wanted ??= now;
          const passed = ({ topic, partition, end }: GroupPosition): boolean =>
            (now?.find((one) => one.topic === topic && one.partition === partition)?.committed ?? 0n) >= end;
          return wanted?.every(passed) ?? false;
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

/** Waits until nothing in the outbox waits to be published; answers how long that took. */
export const drained = async ({ pool }: Pick<FaultWorld, 'pool'>): Promise<number> => {
  const from = performance.now();
  await until(
    async () => {
      const { rows } = await pool.query<{ waiting: boolean }>(
        'SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL) AS waiting',
      );
      return rows[0]?.waiting === false;
    },
    'the outbox is empty',
    30_000,
  );
  return performance.now() - from;
};

/** What is published and what comes of it, when all is, with nothing wrong; `again`: how many messages repeat an earlier one. */
export const auditAll = async ({ pool }: Pick<FaultWorld, 'pool'>, log: PublishedLog) => {
  await drained({ pool });
  await log.caughtUp();
  const published = await auditPublished(pool, log);
  const effects = await auditEffects(pool, log);
  expect({ published, effects }).toMatchObject(nothingWrong);
  return { ...published, double: effects.ratings.double + effects.aggregates.double };
};

/**
 * Holds what is published against the outbox, in which nothing waits any more. Lost: entries that the broker has not; phantom:
 * events that are no entry; again: how many messages repeat an earlier one; disorder: keys whose events, each where it is
 * first seen, are on two partitions or not in the order of the entries.
 */
export const auditPublished = async (pool: FaultWorld['pool'], log: PublishedLog) => {
  const { rows } = await pool.query<{ id: string; position: string; place: number }>(
    'SELECT event_id AS id, position, place FROM outbox_event WHERE type IS NOT NULL',
  );
  const positions = new Map(
    rows.map(({ id, position, place }) => [id, BigInt(position) * 1_000n + BigInt(place)]),
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
 * What a consumer that applies each id once makes of the ratings, and of the newest version of each movie's aggregate, against
 * the tables; `backwards`: how many movies' versions did not rise on their partition, each event where it is first seen.
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
  const told = new Map(
    [...states].flatMap(([id, { count, sum }]) => (count > 0 ? [[id, { count, sum }] as const] : [])),
  );
  return {
    ratings: differenceOf(stored, totalsOf(votes)),
    aggregates: differenceOf(stored, told),
    backwards: backwards.size,
  };
};

const firstOf = (events: readonly PublishedEvent[]): ReadonlyMap<string, PublishedEvent> => {
  const first = new Map<string, PublishedEvent>();
  for (const event of events) if (!first.has(event.id)) first.set(event.id, event);
  return first;
};

/** What the audits have to come to. */
export const nothingWrong = {
  published: { lost: 0, phantom: 0, disorder: 0 },
  effects: { ratings: { lost: 0, double: 0 }, aggregates: { lost: 0, double: 0 }, backwards: 0 },
} as const;
