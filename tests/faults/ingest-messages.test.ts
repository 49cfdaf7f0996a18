import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deadLettersOf, incomingRatings } from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { enterIngest } from './members.js';
import {
  chanceRatings,
  chanceVersions,
  externalMessage,
  externalValue,
  ownMessage,
  poisons,
  type Poison,
  type SentRating,
} from './messages.js';
import { clearRatings, expectEffectOf, isThrough, readTopic, tablesOf } from './oracle.js';
import { openChance, reportFault, sized, faultTimeoutMs } from './support.js';
import { brokerKinds, startFaultWorld, type FaultWorld } from './world.js';

const topic = incomingRatings.name;

describe.each(brokerKinds)('rating events over %s', (kind) => {
  let world: FaultWorld;
  beforeAll(async () => {
    world = await startFaultWorld({ broker: kind });
    await world.startRating().url;
  });
  afterAll(() => world.stop());
  afterEach(() => clearRatings(world));

  it('come to the same tables when each comes three times, in another order (F12)', async () => {
    const name = `F12 over ${kind}, own envelopes`;
    const chance = openChance(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const source = chanceVersions(chance, { of: 'f12', count, movies: 20, viewers: 10 });
    await world.publish(source.map((rating) => ownMessage(rating)));
    await world.settled();
    const { lost, double } = await expectEffectOf(world, source);
    const clean = await tablesOf(world);
    await clearRatings(world);

    const thrice = source.flatMap((rating) => {
      const message = ownMessage(rating);
      return [message, message, message];
    });
    const windows = Array.from({ length: Math.ceil(thrice.length / 1_000) }, (_, at) =>
      chance.shuffled(thrice.slice(at * 1_000, (at + 1) * 1_000)),
    ).flat();
    // In small pieces, so that what is out of order comes in different batches, too.
    for (let at = 0; at < windows.length; at += 50) await world.publish(windows.slice(at, at + 50));
    await world.settled();
    expect(await tablesOf(world)).toBe(clean);
    reportFault({ fault: name, runs: 3, events: thrice.length, lost, double });
  });

  it('of others count once when each is delivered three times at its offset (F12)', async () => {
    const name = `F12 over ${kind}, of others`;
    const chance = openChance(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const source = chanceRatings(chance, { of: 'f12f', count, movies: 50, viewers: 100 });
    // Two groups more, with the same inbox, get all that the topic has ever had, while rating gets what is new.
    const again = await Promise.all(['again', 'once-more'].map((group) => enterIngest(world, group)));
    // Without a key they are spread over all partitions: their order is the broker's.
    await world.publish(source.map((rating) => externalMessage(rating, null)));
    await world.settled();
    for (const group of ['again.ingest', 'once-more.ingest']) {
      await until(() => isThrough(world, group, topic), `${group} is at the end of the log`, faultTimeoutMs);
    }
    await Promise.all(again.map((member) => member.stop()));
    const appended = await readTopic(world, topic);
    const order = appended
      .filter(({ value }) => value?.includes('"f12f:'))
      .sort(
        (one, other) =>
          one.appendedAt.getTime() - other.appendedAt.getTime() ||
          one.partition - other.partition ||
          Number(one.offset - other.offset),
      );
    const inOrder = order.map(({ value }) => readExternal(value));
    expect(inOrder).toHaveLength(count);
    const { lost, double } = await expectEffectOf(world, inOrder);
    reportFault({ fault: name, runs: 3, events: appended.length * 3, lost, double });
  });

  it('are put in order by no producer’s clock (F13)', async () => {
    const name = `F13 over ${kind}`;
    const chance = openChance(name);
    const hour = 60 * 60 * 1_000;
    const source = chanceVersions(chance, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    const skewed = () => new Date(Date.now() + (chance.percent(50) ? hour : -hour));
    await world.publish(
      chance.shuffled(source).map((rating) => ownMessage(rating, { occurredAt: skewed() })),
    );
    // The later one is an hour behind.
    const early = chanceRatings(chance, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    const late = chanceRatings(chance, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    await produceFile(early, hour);
    await produceFile(late, -hour);
    await world.settled();
    const { lost, double } = await expectEffectOf(world, [...source, ...early, ...late]);
    reportFault({ fault: name, runs: 2, events: 1_500, lost, double });
  });

  /** `npm run ratings -- produce` on a machine whose clock is wrong. */
  const produceFile = async (ratings: readonly SentRating[], skewMs: number) => {
    const folder = await mkdtemp(join(tmpdir(), 'skewed-'));
    const file = join(folder, 'ratings.jsonl');
    await writeFile(file, ratings.map((rating) => JSON.stringify(externalValue(rating))).join('\n'));
    const clock = `const { now } = Date; Date.now = () => now() + ${skewMs};`;
    const { code, stdout } = await world.runCommand(
      'main',
      ['produce', file],
      [`--import=data:text/javascript,${encodeURIComponent(clock)}`],
    );
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('500 ratings sent') });
    await rm(folder, { recursive: true });
  };

  it('stall on no poison, which is kept whole, told, and replayed once (F11)', async () => {
    const name = `F11 over ${kind}`;
    const chance = openChance(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const good = chanceRatings(chance, { of: 'f11', count, movies: 50, viewers: 400 });
    const kinds = poisons().length;
    // Made anew each time: an event of ours that comes again under its id is one dead letter.
    const bad = Array.from({ length: Math.max(count / 100, kinds) }, (_, at) => poisons()[at % kinds]!);
    await world.pool.query(`INSERT INTO known_movie (id, version, deleted) VALUES ('f11:deleted', 1, true)`);
    const before = (await readTopic(world, deadLettersOf(incomingRatings).name)).length;
    const places = new Map<string, Poison>();
    const each = Math.floor(count / bad.length);
    for (const [at, poison] of bad.entries()) {
      const around = good.slice(at * each, at === bad.length - 1 ? count : (at + 1) * each);
      const [place] = (
        await world.broker.publish([poison.message, ...around.map((rating) => externalMessage(rating))])
      ).slice(0, 1);
      places.set(`${place!.partition}/${place!.offset}`, poison);
    }
    await world.settled();
    await expectEffectOf(world, good);
    const expected = [...places]
      .map(([place, { code, message }]) => letterOf(place, code, message.value))
      .sort();
    const { rows } = await world.pool.query<{
      place: string;
      code: string;
      value: Buffer | null;
      reason: string;
    }>(
      `SELECT partition || '/' || "offset" AS place, code, value, reason FROM dead_letter WHERE topic = $1`,
      [topic],
    );
    expect(rows.map(({ place, code, value }) => letterOf(place, code, value)).sort()).toEqual(expected);
    expect(rows.filter(({ reason }) => reason.length < 5)).toEqual([]);
    const copies = (await readTopic(world, deadLettersOf(incomingRatings).name)).slice(before);
    const header = ({ headers }: IncomingMessage, of: string) => String(headers[`dead-letter-${of}`]);
    expect(
      copies
        .map((copy) =>
          letterOf(
            `${header(copy, 'partition')}/${header(copy, 'offset')}`,
            header(copy, 'code'),
            copy.value,
          ),
        )
        .sort(),
    ).toEqual(expected);
    expect(copies.filter((copy) => header(copy, 'reason').length < 5)).toEqual([]);

    // One of the kinds is good by now.
    await world.pool.query(`UPDATE known_movie SET deleted = false, version = 2 WHERE id = 'f11:deleted'`);
    const late = bad.filter(({ code }) => code === 'MOVIE_DELETED').length;
    const replays = await Promise.all(
      [1, 2].map(() => world.runCommand('events', ['dlq', 'replay', '--all'])),
    );
    replays.push(await world.runCommand('events', ['dlq', 'replay', '--all']));
    const replayed = replays.map(({ stdout }) => Number(/(\d+) replayed/.exec(stdout)?.[1]));
    expect(replayed.reduce((sum, one) => sum + one, 0)).toBe(late);
    const { lost, double } = await expectEffectOf(world, [
      ...good,
      { movieId: 'f11:deleted', viewerId: 'ratings:late', score: 9 },
    ]);
    const note = `${bad.length} bad in ${kinds} ways, ${late} replayed`;
    reportFault({ fault: name, runs: bad.length, events: count + bad.length, lost, double, note });
  });
});

const letterOf = (place: string, code: string, value: Buffer | null): string =>
  `${place} ${code} ${value === null ? 'null' : createHash('sha256').update(value).digest('hex')}`;

const readExternal = (value: Buffer | null): SentRating => {
  const {
    userId,
    recordId,
    value: score = null,
  } = JSON.parse(String(value)) as {
    userId: string;
    recordId: string;
    value?: number;
  };
  return { movieId: recordId, viewerId: `ratings:${userId}`, score };
};
