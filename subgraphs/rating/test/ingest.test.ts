import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { systemClock } from '@cinegraph/service/clock';
import { replayDeadLetter } from '@cinegraph/messaging/consumer/replay';
import { findOpenDeadLetters, listDeadLetters } from '@cinegraph/messaging/consumer/dead-letters';
import { createLogger } from '@cinegraph/service/logger';
import { openDeliveries, type Deliveries } from '@cinegraph/testing/deliveries';
import { seededRandom, type SeededRandom } from '@cinegraph/testing/seed';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { inTransaction } from '@cinegraph/database/transaction';
import { createIngest, type IngestSettings } from '../src/consumers/ratings-topic.js';
import { foreign, own, signed, testLog } from './messages.js';
import { ratingWorld } from './world.js';

const settings: IngestSettings = { secret: testSubgraphKey, scale: 10, idPrefix: 'vega:' };
const ingestWith = (more: Partial<IngestSettings> = {}) =>
  createIngest({ clock: systemClock }, { ...settings, ...more });

let world: Awaited<ReturnType<typeof ratingWorld>>;
let ingest: Deliveries;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());
beforeEach(async () => {
  await world.subgraph.pool.query(
    'TRUNCATE rating, aggregated_rating, known_movie, inbox, dead_letter, outbox',
  );
  ingest = await openDeliveries({ subgraph: 'rating', pool: world.subgraph.pool }, ingestWith());
});
afterEach(() => ingest.stop());

const letters = () => inTransaction(world.subgraph.pool, (tx) => listDeadLetters(tx, { limit: 10_000 }));
const codes = async () => (await letters()).map(({ code }) => code).toReversed();

/** Every rating that stands, as `movie viewer score`. */
const standing = async () =>
  (
    await world.subgraph.pool.query<{ line: string }>(
      `SELECT movie_id || ' ' || viewer_id || ' ' || score AS line FROM rating WHERE score IS NOT NULL ORDER BY 1`,
    )
  ).rows.map(({ line }) => line);

const replayAll = async (more: Partial<IngestSettings> = {}) => {
  const { pool } = world.subgraph;
  const open = await inTransaction(pool, async (tx) => findOpenDeadLetters(tx, { all: true }));
  const logger = createLogger({ name: 'test', level: 'silent' });
  const outcomes = [];
  for (const { id } of open) outcomes.push(await replayDeadLetter({ pool, logger }, ingestWith(more), id));
  return outcomes.map(({ outcome }) => outcome);
};

describe('a rating that comes in by the topic', () => {
  it('counts like a mutation, in both dialects of others and in our own envelope', async () => {
    const append = testLog();
    await ingest.deliver([
      append(foreign(105, '1', 5)),
      append({ user_id: 106, record_id: 'vega:1', record_type: 'movie', value: 7, event_type: 'submit' }),
      append(...signed(own({ movieId: 'vega:1', viewerId: 'cinema:ann', score: 9, version: 1 }))),
    ]);
    expect(await standing()).toEqual(['vega:1 cinema:ann 9', 'vega:1 ratings:105 5', 'vega:1 ratings:106 7']);
    expect(await world.aggregateOf('vega:1')).toMatchObject({ count: 3, average: 7 });
    expect(await world.drift()).toEqual([]);
    const { rows } = await world.subgraph.pool.query(
      `SELECT type, count(*)::int FROM outbox_event GROUP BY type ORDER BY type`,
    );
    expect(rows).toEqual([
      { type: 'AggregatedRatingChanged', count: 1 },
      { type: 'RatingSubmitted', count: 3 },
    ]);
  });

  it('is one vote when the same event comes three times', async () => {
    const append = testLog();
    const event = own({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 });
    const other = foreign(1, 'm:x', 4);
    const message = append(other);
    await ingest.deliver([append(...signed(event)), append(...signed(event)), message, message]);
    await ingest.deliver([append(...signed(event)), message]);
    expect(await standing()).toEqual(['m cinema:ann 9', 'm:x ratings:1 4']);
    expect(await world.aggregateOf('m')).toMatchObject({ count: 1, average: 9 });
    const { rows } = await world.subgraph.pool.query(
      `SELECT count(*)::int AS told FROM outbox_event WHERE type = 'RatingSubmitted'`,
    );
    expect(rows).toEqual([{ told: 2 }]);
  });

  it('on a scale of five counts twice, halves and all', async () => {
    const append = testLog();
    const five = await openDeliveries(
      { subgraph: 'rating', pool: world.subgraph.pool },
      ingestWith({ scale: 5 }),
    );
    await five.deliver([append(foreign(1, 'm', 4.5)), append(foreign(2, 'm', 6))]);
    await five.stop();
    expect(await standing()).toEqual(['vega:m ratings:1 9']);
    expect(await codes()).toEqual(['RATING_OUT_OF_RANGE']);
  });

  it('is kept while its movie is unknown, and refused once that is deleted', async () => {
    const append = testLog();
    await ingest.deliver([append(foreign(1, 'm:new', 8))]);
    expect(await world.aggregateOf('m:new')).toMatchObject({ count: 1, average: 8 });
    await world.subgraph.pool.query(
      `INSERT INTO known_movie (id, version, deleted) VALUES ('m:new', 2, true)`,
    );
    await ingest.deliver([append(foreign(2, 'm:new', 3)), append(foreign(1, 'm:new', null))]);
    expect(await codes()).toEqual(['MOVIE_DELETED']);
    expect(await world.aggregateOf('m:new')).toMatchObject({ count: 0, average: null });
  });
});

describe('who may speak for whom', () => {
  const rating = { movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 };

  type Message = readonly [value: Buffer, more?: { readonly headers: Record<string, string> }];
  const misuses: readonly (readonly [what: string, message: () => Message, code: string])[] = [
    ['unsigned', () => [Buffer.from(JSON.stringify(own(rating)))] as const, 'UNSIGNED_EVENT'],
    ['signed by another', () => signed(own(rating), { signer: 'other' }), 'FORGED_EVENT'],
    ['signed for another topic', () => signed(own(rating), { topic: 'rating.ratings.v1' }), 'FORGED_EVENT'],
    [
      'changed behind the signature',
      () => {
        const [value, more] = signed(own(rating));
        return [Buffer.from(value.toString().replace('"score":9', '"score":1')), more] as const;
      },
      'FORGED_EVENT',
    ],
    [
      'for the viewer of another producer',
      () => signed(own({ ...rating, viewerId: 'other:ann' })),
      'FOREIGN_VIEWER',
    ],
    ['for an account of ours', () => signed(own({ ...rating, viewerId: 'ann' })), 'FOREIGN_VIEWER'],
    ['for nobody of its own', () => signed(own({ ...rating, viewerId: 'cinema:' })), 'FOREIGN_VIEWER'],
    [
      'by a producer that is called like a subgraph',
      () => signed(own({ ...rating, viewerId: 'rating:ann' }, { producer: 'rating' })),
      'FOREIGN_VIEWER',
    ],
    [
      'by a producer that is called like the prefix of the dialects',
      () => signed(own({ ...rating, viewerId: 'ratings:1' }, { producer: 'ratings' })),
      'FOREIGN_VIEWER',
    ],
    [
      'by a producer that is called like a source of files',
      () => signed(own({ ...rating, viewerId: 'movielens:1' }, { producer: 'movielens' })),
      'FOREIGN_VIEWER',
    ],
  ];

  it.each(misuses)('is held against an event %s', async (_what, message, code) => {
    await ingest.deliver([testLog()(...message())]);
    expect(await codes()).toEqual([code]);
    expect(await standing()).toEqual([]);
  });

  it('leaves the id of an event to its producer: another cannot use it up', async () => {
    const append = testLog();
    const event = own(rating);
    const thief = own({ ...rating, viewerId: 'thief:x' }, { producer: 'thief', id: event.id });
    await ingest.deliver([
      append(...signed(thief)),
      append(...signed(event, { signer: 'thief' })),
      append(...signed(event)),
    ]);
    expect(await standing()).toEqual(['m cinema:ann 9', 'm thief:x 9']);
  });
});

describe('poison', () => {
  const signedWith = (change: object) =>
    signed({ ...own({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 }), ...change });
  const poisons: readonly (readonly [
    string,
    () => readonly [unknown, { headers: Record<string, string> }?],
  ])[] = [
    ['NOT_AN_EVENT', () => [null]],
    ['NOT_AN_EVENT', () => ['']],
    ['NOT_AN_EVENT', () => ['{"userId": 1,']],
    ['NOT_AN_EVENT', () => [Buffer.from([0xff, 0xfe, 0x00, 0x7b])]],
    ['NOT_AN_EVENT', () => ['[1, 2]']],
    ['MESSAGE_TOO_LARGE', () => [{ ...foreign(1, 'm', 5), extra: 'x'.repeat(2 ** 20 - 200) }]],
    ['RATING_OUT_OF_RANGE', () => [foreign(1, 'm', 11)]],
    ['RATING_OUT_OF_RANGE', () => [foreign(1, 'm', -5)]],
    ['UNSUPPORTED_RECORD_TYPE', () => [{ ...foreign(1, 'm', 5), recordType: 'series' }]],
    ['UNSUPPORTED_EVENT_TYPE', () => [{ ...foreign(1, 'm', 5), eventType: 'upsert' }]],
    ['NOT_AN_EVENT', () => [foreign('a\u0000b', 'm', 5)]],
    ['UNSIGNED_EVENT', () => [own({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 })]],
    ['UNKNOWN_EVENT', () => signedWith({ type: 'RatingAdored' })],
    ['UNKNOWN_EVENT', () => signedWith({ version: 99 })],
    [
      'INVALID_EVENT',
      () => signedWith({ data: { movieId: 'm', viewerId: 'cinema:ann', score: 94, version: 1 } }),
    ],
    [
      'INVALID_EVENT',
      () =>
        signedWith({
          data: { movieId: 'm', viewerId: 'cinema:\u0000', score: 9, review: null, version: 1 },
        }),
    ],
  ];

  it('never stalls a partition: all of it is kept with its reason, and all that is good is applied', async () => {
    const random = seededRandom('poison');
    const append = testLog();
    const good = Array.from(
      { length: 990 },
      (_, n) => ['good', foreign(n, `m:${n % 30}`, (n % 10) + 1)] as const,
    );
    const bad = poisons.map(([code, message]) => [code, message] as const);
    const log = random
      .shuffled<(typeof good)[number] | (typeof bad)[number]>([...good, ...bad])
      .map(([code, what]) => ({
        code,
        message: typeof what === 'function' ? append(...what()) : append(what),
      }));
    for (let at = 0; at < log.length; at += 300) {
      await ingest.deliver(log.slice(at, at + 300).map(({ message }) => message));
    }
    expect((await standing()).length).toBe(990);
    expect(await world.drift()).toEqual([]);
    const expected = log.filter(({ code }) => code !== 'good');
    const { rows } = await world.subgraph.pool.query<{ code: string; offset: string; same: boolean }>(`
      SELECT d.code, d."offset"::text, o.topic = 'ratings.dlq' AND o.value IS NOT DISTINCT FROM d.value AS same
      FROM dead_letter d JOIN outbox o ON o.headers ->> 'dead-letter-offset' = d."offset"::text ORDER BY d."offset"`);
    expect(rows).toEqual(
      expected.map(({ code, message }) => ({ code, offset: String(message.offset), same: true })),
    );
    expect(new Set(await replayAll())).toEqual(new Set(['refused']));
    expect((await letters()).length).toBe(poisons.length);
  });

  it('of a scale that nobody named is told what to set, and then replayed at the time that it had', async () => {
    const append = testLog();
    const early = [append(foreign(1, 'm', 2)), append(foreign(2, 'm', 3))];
    const late = append(foreign(1, 'm', 9));
    const unset = await openDeliveries(
      { subgraph: 'rating', pool: world.subgraph.pool },
      ingestWith({ scale: undefined }),
    );
    await unset.deliver(early);
    await unset.stop();
    expect(await letters()).toMatchObject(
      early.map(() => ({ code: 'SCALE_UNKNOWN', reason: expect.stringContaining('Set INGEST_SCALE') })),
    );
    await ingest.deliver([late]);
    expect(await replayAll()).toEqual(['replayed', 'replayed']);
    expect(await replayAll()).toEqual([]);
    await ingest.deliver(early);
    expect(await standing()).toEqual(['vega:m ratings:1 9', 'vega:m ratings:2 3']);
  });
});

/** What the log comes to when its events are taken one by one in their own order. */
const oracle = (log: readonly Said[]) => {
  const last = new Map<string, Said>();
  const orderOf = ({ version, message }: Said) =>
    version === undefined
      ? [message.appendedAt.getTime(), message.partition, Number(message.offset)]
      : [version, 0, 0];
  for (const said of log) {
    const key = `${said.movie} ${said.viewer}`;
    const other = last.get(key);
    const [a, b] = [orderOf(said), other ? orderOf(other) : [-1]];
    const at = a.findIndex((part, index) => part !== b[index]);
    if (at !== -1 && (a[at] ?? 0) > (b[at] ?? 0)) last.set(key, said);
  }
  return [...last.entries()]
    .flatMap(([key, { score }]) => (score === null ? [] : [`${key} ${score}`]))
    .toSorted();
};

interface Said {
  readonly movie: string;
  readonly viewer: string;
  readonly score: number | null;
  readonly version?: number;
  readonly message: IncomingMessage;
}

/** A log of many changes of few ratings over `partitions`, a third of them deletes; times repeat. */
const randomLog = (random: SeededRandom, size: number, partitions: number): Said[] => {
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
      const message = append(foreign(user, movie, score), { partition, at: new Date(time) });
      return { movie, viewer: `ratings:${user}`, score, message };
    }
    const viewer = `cinema:${user}`;
    const version = (versions.get(movie + viewer) ?? 0) + 1 + random.int(2);
    versions.set(movie + viewer, version);
    const [value, more] = signed(own({ movieId: movie, viewerId: viewer, score, version }));
    return { movie, viewer, score, version, message: append(value, { ...more, partition }) };
  });
};

const batchesOf = (random: SeededRandom, log: readonly Said[]) => {
  const batches: IncomingMessage[][] = [];
  for (let at = 0; at < log.length;) {
    const size = 1 + random.int(40);
    batches.push(log.slice(at, at + size).map(({ message }) => message));
    at += size;
  }
  return batches;
};

describe('whatever the order', () => {
  it('of put and delete, each of their orders ends as the broker’s own', async () => {
    const append = testLog();
    const events = [
      foreign(1, 'm', 5),
      foreign(1, 'm', null),
      foreign(1, 'm', 8),
      foreign(2, 'm', 4),
      foreign(2, 'm', null),
    ].map((event) => append(event));
    const orders = events.flatMap((first) =>
      events.flatMap((second) =>
        first === second ? [] : [[first, second, ...events.filter((e) => e !== first && e !== second)]],
      ),
    );
    for (const order of [...orders, ...orders.map((one) => one.toReversed())]) {
      for (const size of [1, 2, 5]) {
        await world.subgraph.pool.query('TRUNCATE rating, aggregated_rating, inbox');
        for (let at = 0; at < order.length; at += size) await ingest.deliver(order.slice(at, at + size));
        expect(await standing()).toEqual(['vega:m ratings:1 8']);
      }
    }
  });

  it('of arrival, and however often, the result is that of the events one after another', async () => {
    const random = seededRandom('order');
    for (let round = 0; round < 5; round += 1) {
      await world.subgraph.pool.query('TRUNCATE rating, aggregated_rating, inbox');
      const log = randomLog(random, 400, 3);
      const disorder = random.shuffled([...log, ...log, ...log]);
      for (const batch of batchesOf(random, disorder)) await ingest.deliver(batch);
      expect(await standing()).toEqual(oracle(log));
      expect(await world.drift()).toEqual([]);
    }
  });

  it('of eight partitions that two members read at once, beside voters, the result is the serial one', async () => {
    const random = seededRandom('partitions');
    const log = randomLog(random, 1_500, 8);
    const other = await openDeliveries({ subgraph: 'rating', pool: world.subgraph.pool }, ingestWith());
    const reading = Array.from({ length: 8 }, async (_, partition) => {
      const member = partition % 2 ? ingest : other;
      const mine = log.filter(({ message }) => message.partition === partition);
      for (const batch of batchesOf(random, mine)) {
        await member.deliver(batch);
        // A rebalance: the other member gets the same again.
        if (random.int(4) === 0) await (member === other ? ingest : other).deliver(batch);
      }
    });
    const voting = Array.from({ length: 40 }, (_, n) => world.rate(`v${n}`, `m:${n % 4}`, 7));
    await Promise.all([...reading, ...voting]);
    await other.stop();
    expect((await standing()).filter((line) => !/ v\d+ /.test(line))).toEqual(oracle(log));
    expect(await world.drift()).toEqual([]);
    expect(await letters()).toEqual([]);
  });

  it('and with every connection cut again and again, nothing is lost and nothing counted twice', async () => {
    const random = seededRandom('cuts');
    const log = randomLog(random, 1_500, 1);
    const over = new AbortController();
    const cutting = (async () => {
      while (!over.signal.aborted) {
        await world.subgraph.pool
          .query(
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
          taken = await ingest.deliver(batch).then(
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
    expect(await standing()).toEqual(oracle(log));
    expect(await world.drift()).toEqual([]);
    expect(await letters()).toEqual([]);
  });
});
