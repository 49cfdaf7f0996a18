import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { StartError } from '@cinegraph/service/start-error';
import { producerKey } from '@cinegraph/messaging/envelope';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import type { RatingsCommand } from '../src/command-line/command.js';
import { dlq, replay } from '../src/command-line/dlq.js';
import { key } from '../src/command-line/key.js';
import { createIngest } from '../src/consumers/ingest.js';
import { runCommand } from './run-command.js';
import { foreign, own, signed, testLog } from './messages.js';
import { ratingWorld } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

const run = (command: RatingsCommand, args: readonly string[], env: Record<string, string> = {}) =>
  runCommand(world.subgraph.pool, command, args, env);

const append = testLog();

/** Four dead letters: two without a scale, one unsigned, one that holds what a terminal would obey. */
beforeEach(async () => {
  const { pool } = world.subgraph;
  await pool.query('TRUNCATE rating, aggregated_rating, known_movie, inbox, outbox');
  await pool.query('TRUNCATE dead_letter RESTART IDENTITY');
  const ingest = await openDeliveries(
    { subgraph: 'rating', pool },
    createIngest({ clock: systemClock }, { secret: testSubgraphKey, scale: undefined, idPrefix: '' }),
  );
  const event = own({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 });
  await ingest.deliver([
    append(foreign(1, 'm', 5)),
    append(foreign(2, 'm', 11)),
    append(event),
    append('\u001b[2J\u202Egood"'),
    append(...signed(event)),
  ]);
  await ingest.stop();
});

describe('dlq', () => {
  it('lists and shows dead letters, with nothing in them that a terminal would obey', async () => {
    const listed = await run(dlq, ['list']);
    expect(listed.code).toBe(0);
    expect(listed.printed).toContain('ingest: 2 × SCALE_UNKNOWN\n');
    expect(listed.printed).toContain('ingest: 1 × UNSIGNED_EVENT\n');
    expect(listed.printed).toMatch(/ 4 {2}\S+Z {2}ratings\/0\/\d+ {2}NOT_AN_EVENT: it is not JSON\n/);
    expect((await run(dlq, ['list', '--code', 'SCALE_UNKNOWN', '--limit', '1'])).printed).toMatch(
      / 2 {2}.*SCALE_UNKNOWN/,
    );
    const shown = await run(dlq, ['show', '4']);
    expect(shown.printed).toMatch(/value: {6}\\u\{1b\}\[2J\\u\{202e\}good"\n/);
    expect(shown.printed).toMatch(/identity: {3}at:ratings:0000:/);
    for (const obeyed of ['\u001b', '\u202e']) expect(listed.printed + shown.printed).not.toContain(obeyed);
    expect(await run(dlq, ['show', '99'])).toEqual({ code: 1, printed: 'There is no dead letter 99.\n' });
  });

  it('replays what can be taken in now, once, and leaves the rest open with its reason', async () => {
    const first = await run(dlq, ['replay', '--code', 'SCALE_UNKNOWN'], { INGEST_SCALE: '10' });
    expect(first).toEqual({
      code: 1,
      printed:
        '2: still refused: RATING_OUT_OF_RANGE: 11 is no whole number from 1 to 10\n' +
        '1 replayed, 0 had come in by another message, 1 still refused, 0 not open.\n',
    });
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
    const second = await run(replay, ['--all'], { INGEST_SCALE: '10' });
    expect(second.printed).toContain('0 replayed, 0 had come in by another message, 3 still refused');
    expect((await run(dlq, ['replay', '1'])).printed).toContain('0 still refused, 1 not open');
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
  });

  it('drops what is given up', async () => {
    expect(await run(dlq, ['drop', '1', '4', '99'])).toEqual({
      code: 1,
      printed: '99: not open.\n2 dropped.\n',
    });
    expect((await run(dlq, ['replay', '1', '4'], { INGEST_SCALE: '10' })).printed).toContain('2 not open');
    expect((await run(dlq, ['list'])).printed).not.toContain('NOT_AN_EVENT');
  });

  it('lets no forged letter pass for want of the key', async () => {
    await expect(run(dlq, ['replay', '--all'], { SUBGRAPH_KEY: '' })).rejects.toThrow(StartError);
    expect((await run(dlq, ['list'])).printed).toContain('UNSIGNED_EVENT');
  });

  it.each([
    [],
    ['list', '7'],
    ['list', '--limit', 'x'],
    ['show'],
    ['show', '1', '2'],
    ['replay'],
    ['replay', '1', '--all'],
    ['replay', 'x'],
    ['drop'],
    ['drop', '--all'],
    ['burn', '1'],
  ])('explains itself when it is asked %p %p %p', async (...args) => {
    expect(await run(dlq, args)).toEqual({ code: 'usage', printed: '' });
  });
});

describe('key', () => {
  it('gives an outside producer the key that its events are held against', async () => {
    const { printed } = await run(key, ['cinema']);
    expect(Buffer.from(printed.trim(), 'base64url')).toEqual(producerKey(testSubgraphKey, 'cinema'));
    expect(await run(key, [])).toMatchObject({ code: 'usage' });
  });

  it.each(['rating', 'metadata', 'ratings', 'Cinema', 'a b'])('makes none for %p', async (producer) => {
    await expect(run(key, [producer])).rejects.toThrow(StartError);
  });
});
