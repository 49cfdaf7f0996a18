import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deadLettersOf, incomingRatings } from '@cinegraph/events/topics';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { know } from '../support/known-movies.js';
import { enterIngest } from './members.js';
import {
  randomRatings,
  randomVersions,
  externalMessage,
  externalValue,
  ownMessage,
  poisons,
  type Poison,
  type SentRating,
} from './messages.js';
import { clearRatings, expectEffectOf, isThrough, readTopic, tablesOf } from './oracle.js';
import { openRandom, reportFault, sized, faultTimeoutMs } from './support.js';
import { brokerKinds, startFaultWorld, type FaultWorld } from './world.js';

const topic = incomingRatings.name;

describe.each(brokerKinds)('consumed rating events, %s', (kind) => {
  let world: FaultWorld;
  beforeAll(async () => {
    world = await startFaultWorld({ broker: kind });
    await world.startRating().url;
  });
  afterAll(() => world.stop());
  afterEach(() => clearRatings(world));

  it('events that come three times, and in another order, give the same tables (F12)', async () => {
    const name = `F12 over ${kind}, own envelopes`;
    const random = openRandom(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const source = randomVersions(random, { of: 'f12', count, movies: 20, viewers: 10 });
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
      random.shuffled(thrice.slice(at * 1_000, (at + 1) * 1_000)),
    ).flat();
    // In small pieces, so that events out of order come in different batches, too.
    for (let at = 0; at < windows.length; at += 50) await world.publish(windows.slice(at, at + 50));
    await world.settled();
    expect(await tablesOf(world)).toBe(clean);
    reportFault({ fault: name, runs: 3, events: thrice.length, lost, double });
  });

  it('external events count once when each is delivered three times at its offset (F12)', async () => {
    const name = `F12 over ${kind}, of others`;
    const random = openRandom(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const source = randomRatings(random, { of: 'f12f', count, movies: 50, viewers: 100 });
    // Two more groups with the same inbox read the topic from its start while rating reads new messages.
    const again = await Promise.all(['again', 'once-more'].map((group) => enterIngest(world, group)));
    // Without a key they are spread over all partitions, so that the broker decides their order.
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

  it('the clock of a producer does not decide the order of events (F13)', async () => {
    const name = `F13 over ${kind}`;
    const random = openRandom(name);
    const hour = 60 * 60 * 1_000;
    const source = randomVersions(random, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    const skewed = () => new Date(Date.now() + (random.percent(50) ? hour : -hour));
    await world.publish(
      random.shuffled(source).map((rating) => ownMessage(rating, { occurredAt: skewed() })),
    );
    // The later one has a clock that is an hour slow.
    const early = randomRatings(random, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    const late = randomRatings(random, { of: 'f13', count: 500, movies: 20, viewers: 50 });
    await produceFile(early, hour);
    await produceFile(late, -hour);
    await world.settled();
    const { lost, double } = await expectEffectOf(world, [...source, ...early, ...late]);
    reportFault({ fault: name, runs: 2, events: 1_500, lost, double });
  });

  /** Runs `npm run ratings -- produce` on a machine whose clock is wrong. */
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

  it('invalid messages do not stop consumption; each is kept whole as a dead letter and replayed once (F11)', async () => {
    const name = `F11 over ${kind}`;
    const random = openRandom(name);
    const count = sized({ short: 2_000, long: 10_000 });
    const good = randomRatings(random, { of: 'f11', count, movies: 50, viewers: 400 });
    const kinds = poisons().length;
    // Created again each time: an event that is repeated under its id is only one dead letter.
    const bad = Array.from({ length: Math.max(count / 100, kinds) }, (_, at) => poisons()[at % kinds]!);
    await know(world.pool, ['f11:deleted'], { version: 1, deleted: true });
    const before = (await readTopic(world, deadLettersOf(incomingRatings).name)).length;
    const positions = new Map<string, Poison>();
    const each = Math.floor(count / bad.length);
    for (const [at, poison] of bad.entries()) {
      const around = good.slice(at * each, at === bad.length - 1 ? count : (at + 1) * each);
      const [position] = (
        await world.broker.publish([poison.message, ...around.map((rating) => externalMessage(rating))])
      ).slice(0, 1);
      positions.set(`${position!.partition}/${position!.offset}`, poison);
    }
    await world.settled();
    await expectEffectOf(world, good);
    const expected = [...positions]
      .map(([position, { code, message }]) => letterOf(position, code, message.value))
      .sort();
    const { rows } = await world.pool.query<{
      position: string;
      code: string;
      value: Buffer | null;
      reason: string;
    }>(
      `SELECT partition || '/' || "offset" AS position, code, value, reason FROM messaging.dead_letter WHERE topic = $1`,
      [topic],
    );
    expect(rows.map(({ position, code, value }) => letterOf(position, code, value)).sort()).toEqual(expected);
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

    // One of the kinds has become valid by now.
    await know(world.pool, ['f11:deleted'], { version: 2, deleted: false });
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

const letterOf = (position: string, code: string, value: Buffer | null): string =>
  `${position} ${code} ${value === null ? 'null' : createHash('sha256').update(value).digest('hex')}`;

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
