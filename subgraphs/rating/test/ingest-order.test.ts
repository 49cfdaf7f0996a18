import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { seededRandom, type SeededRandom } from '@cinegraph/testing/seed';
import { ingestWith, lettersIn, ratingsIn, useIngestWorld } from './ingest-world.js';
import { externalEvent, envelopeOf, signed, testLog } from './messages.js';

const ingestWorld = useIngestWorld();

/** Returns the ratings that result if the events are applied one by one in their own order. */
const oracle = (log: readonly LogEntry[]) => {
  const last = new Map<string, LogEntry>();
  const orderOf = ({ version, message }: LogEntry) =>
    version === undefined
      ? [message.appendedAt.getTime(), message.partition, Number(message.offset)]
      : [version, 0, 0];
  for (const entry of log) {
    const key = `${entry.movie} ${entry.viewer}`;
    const other = last.get(key);
    const [a, b] = [orderOf(entry), other ? orderOf(other) : [-1]];
    const at = a.findIndex((part, index) => part !== b[index]);
    if (at !== -1 && (a[at] ?? 0) > (b[at] ?? 0)) last.set(key, entry);
  }
  return [...last.entries()]
    .flatMap(([key, { score }]) => (score === null ? [] : [`${key} ${score}`]))
    .toSorted();
};

interface LogEntry {
  readonly movie: string;
  readonly viewer: string;
  readonly score: number | null;
  readonly version?: number;
  readonly message: IncomingMessage;
}

/**
 * Returns a log of many changes of few ratings on `partitions`. A third are deletions; append times repeat.
 */
const randomLog = (random: SeededRandom, size: number, partitions: number): LogEntry[] => {
  const append = testLog();
  const versions = new Map<string, number>();
  let time = Date.UTC(2026, 0, 1);
  return Array.from({ length: size }, () => {
    const movie = `m:${random.int(4)}`;
    const user = random.int(5);
    const score = random.int(3) === 0 ? null : random.int(10) + 1;
    const partition = random.int(partitions);
    if (random.int(3) > 0) {
      time += random.int(2);
      const message = append(externalEvent(user, movie, score), { partition, at: new Date(time) });
      return { movie, viewer: `ratings:${user}`, score, message };
    }
    const viewer = `cinema:${user}`;
    const version = (versions.get(movie + viewer) ?? 0) + 1 + random.int(2);
    versions.set(movie + viewer, version);
    const [value, more] = signed(envelopeOf({ movieId: movie, viewerId: viewer, score, version }));
    return { movie, viewer, score, version, message: append(value, { ...more, partition }) };
  });
};

const batchesOf = (random: SeededRandom, log: readonly LogEntry[]) => {
  const batches: IncomingMessage[][] = [];
  for (let at = 0; at < log.length;) {
    const size = 1 + random.int(40);
    batches.push(log.slice(at, at + size).map(({ message }) => message));
    at += size;
  }
  return batches;
};

describe('the order of events', () => {
  it('put and delete events have the result of the broker’s order, in whatever order they arrive', async () => {
    const append = testLog();
    const events = [
      externalEvent(1, 'm', 5),
      externalEvent(1, 'm', null),
      externalEvent(1, 'm', 8),
      externalEvent(2, 'm', 4),
      externalEvent(2, 'm', null),
    ].map((event) => append(event));
    const orders = events.flatMap((first) =>
      events.flatMap((second) =>
        first === second ? [] : [[first, second, ...events.filter((e) => e !== first && e !== second)]],
      ),
    );
    for (const order of [...orders, ...orders.map((one) => one.toReversed())]) {
      for (const size of [1, 2, 5]) {
        await ingestWorld().world.clear(['messaging.inbox']);
        for (let at = 0; at < order.length; at += size)
          await ingestWorld().ingest.deliver(order.slice(at, at + size));
        expect(await ratingsIn(ingestWorld())).toEqual(['vega:m ratings:1 8']);
      }
    }
  });

  it('random events that arrive three times in random order have the result of their own order', async () => {
    const random = seededRandom('order');
    for (let round = 0; round < 5; round += 1) {
      await ingestWorld().world.clear(['messaging.inbox']);
      const log = randomLog(random, 400, 3);
      const disorder = random.shuffled([...log, ...log, ...log]);
      for (const batch of batchesOf(random, disorder)) await ingestWorld().ingest.deliver(batch);
      expect(await ratingsIn(ingestWorld())).toEqual(oracle(log));
      expect(await ingestWorld().world.drift()).toEqual([]);
    }
  });

  it('two members that consume eight partitions beside voters have the result of the serial order', async () => {
    const random = seededRandom('partitions');
    const log = randomLog(random, 1_500, 8);
    const other = await openDeliveries(
      { subgraph: 'rating', pool: ingestWorld().world.subgraph.pool },
      ingestWith(),
    );
    const { ingest } = ingestWorld();
    const reading = Array.from({ length: 8 }, async (_, partition) => {
      const member = partition % 2 ? ingest : other;
      const mine = log.filter(({ message }) => message.partition === partition);
      for (const batch of batchesOf(random, mine)) {
        await member.deliver(batch);
        // As in a rebalance, the other member gets the same batch again.
        if (random.int(4) === 0) await (member === other ? ingest : other).deliver(batch);
      }
    });
    const voting = Array.from({ length: 40 }, (_, n) => ingestWorld().world.rate(`v${n}`, `m:${n % 4}`, 7));
    await Promise.all([...reading, ...voting]);
    await other.stop();
    expect((await ratingsIn(ingestWorld())).filter((line) => !/ v\d+ /.test(line))).toEqual(oracle(log));
    expect(await ingestWorld().world.drift()).toEqual([]);
    expect(await lettersIn(ingestWorld())).toEqual([]);
  });

  it('nothing is lost or counted twice while every connection is cut again and again', async () => {
    const random = seededRandom('cuts');
    const log = randomLog(random, 1_500, 1);
    const over = new AbortController();
    const cutting = (async () => {
      while (!over.signal.aborted) {
        await ingestWorld()
          .world.subgraph.pool.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5`,
          )
          .catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, random.int(20)));
      }
    })();
    let rejected = 0;
    try {
      for (const batch of batchesOf(random, log)) {
        for (let taken = false; !taken;) {
          taken = await ingestWorld()
            .ingest.deliver(batch)
            .then(
              () => true,
              () => false,
            );
          if (!taken) rejected += 1;
        }
      }
    } finally {
      over.abort();
      await cutting;
    }
    expect(rejected).toBeGreaterThan(0);
    expect(await ratingsIn(ingestWorld())).toEqual(oracle(log));
    expect(await ingestWorld().world.drift()).toEqual([]);
    expect(await lettersIn(ingestWorld())).toEqual([]);
  });
});
