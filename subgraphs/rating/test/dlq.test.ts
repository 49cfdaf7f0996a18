import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { StartError } from '@cinegraph/service/start-error';
import { producerKey } from '@cinegraph/messaging/envelope';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { key } from '../src/command-line/key.js';
import { createIngest } from '../src/consumers/ratings-topic.js';
import { ratingEvents, runCommand } from './run-command.js';
import { externalEvent, envelopeOf, signed, testLog } from './messages.js';
import { ratingWorld } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

const run = (command: Command | undefined, args: readonly string[], env: Record<string, string> = {}) =>
  runCommand(world.subgraph.pool, command, args, env);

const { dlq } = ratingEvents;

const append = testLog();

/** Four dead letters: two without a scale, one unsigned, one with control characters of a terminal. */
beforeEach(async () => {
  const { pool } = world.subgraph;
  await world.clear(['messaging.inbox', 'messaging.outbox']);
  await pool.query('TRUNCATE messaging.dead_letter RESTART IDENTITY');
  const ingest = await openDeliveries(
    { subgraph: 'rating', pool },
    createIngest({ clock: systemClock }, { secret: testSubgraphKey, scale: undefined, idPrefix: '' }),
  );
  await world.know('m');
  const event = envelopeOf({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 });
  await ingest.deliver([
    append(externalEvent(1, 'm', 5)),
    append(externalEvent(2, 'm', 11)),
    append(event),
    append('\u001b[2J\u202Egood"'),
    append(...signed(event)),
  ]);
  await ingest.stop();
});

describe('dlq', () => {
  it('dlq lists and shows dead letters without control characters of a terminal', async () => {
    const listed = await run(dlq, ['list']);
    expect(listed.code).toBe(0);
    expect(listed.printed).toContain('rating.ingest: 2 × SCALE_UNKNOWN\n');
    expect(listed.printed).toContain('rating.ingest: 1 × UNSIGNED_EVENT\n');
    expect(listed.printed).toMatch(/ 4 {2}\S+Z {2}ratings\/0\/\d+ {2}NOT_AN_EVENT: it is not JSON\n/);
    expect((await run(dlq, ['list', '--code', 'SCALE_UNKNOWN', '--limit', '1'])).printed).toMatch(
      / 2 {2}.*SCALE_UNKNOWN/,
    );
    const shown = await run(dlq, ['show', '4']);
    expect(shown.printed).toMatch(/value: {6}\\u\{1b\}\[2J\\u\{202e\}good"\n/);
    expect(shown.printed).toMatch(/dedup key: {2}at:ratings:0000:/);
    for (const obeyed of ['\u001b', '\u202e']) expect(listed.printed + shown.printed).not.toContain(obeyed);
    expect(await run(dlq, ['show', '99'])).toEqual({ code: 1, printed: 'rating has no dead letter 99.\n' });
  });

  it('dlq replay consumes once what can be consumed now, and leaves the rest open with its reason', async () => {
    const first = await run(dlq, ['replay', '--code', 'SCALE_UNKNOWN'], { INGEST_SCALE: '10' });
    expect(first).toEqual({
      code: 1,
      printed:
        '2: still refused: RATING_OUT_OF_RANGE: 11 is not a whole number from 1 to 10\n' +
        'rating: 1 replayed, 0 consumed already by another message, 1 still refused, 0 not open.\n',
    });
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
    const second = await run(dlq, ['replay', '--all'], { INGEST_SCALE: '10' });
    expect(second.printed).toContain('0 replayed, 0 consumed already by another message, 3 still refused');
    expect((await run(dlq, ['replay', '1'])).printed).toContain('0 still refused, 1 not open');
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
  });

  it('dlq drop closes dead letters without consuming them', async () => {
    expect(await run(dlq, ['drop', '1', '4', '99'])).toEqual({
      code: 1,
      printed: '99: not open.\nrating: 2 dropped.\n',
    });
    expect((await run(dlq, ['replay', '1', '4'], { INGEST_SCALE: '10' })).printed).toContain('2 not open');
    expect((await run(dlq, ['list'])).printed).not.toContain('NOT_AN_EVENT');
  });

  it('dlq replay refuses to run without the key, so that no forged dead letter is accepted', async () => {
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
  ])('dlq asks for correct arguments when it gets %p %p %p', async (...args) => {
    expect(await run(dlq, args)).toEqual({ code: 'usage', printed: '' });
  });
});

describe('key', () => {
  it('key prints the key with which the events of an external producer are verified', async () => {
    const { printed } = await run(key, ['cinema']);
    expect(Buffer.from(printed.trim(), 'base64url')).toEqual(producerKey(testSubgraphKey, 'cinema'));
    expect(await run(key, [])).toMatchObject({ code: 'usage' });
  });

  it.each(['rating', 'metadata', 'ratings', 'Cinema', 'a b'])(
    'key refuses the producer %p',
    async (producer) => {
      await expect(run(key, [producer])).rejects.toThrow(StartError);
    },
  );
});
