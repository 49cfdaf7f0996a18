import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { StartError } from '@cinegraph/service/start-error';
import type { IncomingMessage } from '@cinegraph/messaging/broker';
import { producerKey } from '@cinegraph/messaging/envelope';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { key } from '../src/command-line/key.js';
import { createIngest, type IngestSettings } from '../src/consumers/ratings-topic.js';
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

/** Starts rating's consumer with these settings, lets it consume the messages, and stops it. */
const consumeWith = async (
  settings: Pick<IngestSettings, 'scale' | 'idPrefix'>,
  messages: readonly IncomingMessage[] = [],
) => {
  const ingest = await openDeliveries(
    { subgraph: 'rating', pool: world.subgraph.pool },
    createIngest({ clock: systemClock }, { secret: testSubgraphKey, ...settings }),
  );
  await ingest.deliver(messages);
  await ingest.stop();
};

/** Four dead letters: two without a scale, one unsigned, one with control characters of a terminal. */
beforeEach(async () => {
  const { pool } = world.subgraph;
  await world.clear(['messaging.inbox', 'messaging.outbox']);
  await pool.query('TRUNCATE messaging.dead_letter, messaging.consumer_settings RESTART IDENTITY');
  await world.know('m');
  const event = envelopeOf({ movieId: 'm', viewerId: 'cinema:ann', score: 9, version: 1 });
  await consumeWith({ scale: undefined, idPrefix: '' }, [
    append(externalEvent(1, 'm', 5)),
    append(externalEvent(2, 'm', 11)),
    append(event),
    append('\u001b[2J\u202Egood"'),
    append(...signed(event)),
  ]);
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
    await consumeWith({ scale: 10, idPrefix: '' });
    const first = await run(dlq, ['replay', '--code', 'SCALE_UNKNOWN']);
    expect(first.code).toBe(1);
    expect(first.printed).toMatch(settingsLine('INGEST_SCALE=10, INGEST_ID_PREFIX='));
    expect(first.printed).toContain(
      '2: still refused: RATING_OUT_OF_RANGE: 11 is not a whole number from 1 to 10\n' +
        'rating: 1 replayed, 0 consumed already by another message, 1 still refused, 0 not open.\n',
    );
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
    const second = await run(dlq, ['replay', '--all']);
    expect(second.printed).toContain('0 replayed, 0 consumed already by another message, 3 still refused');
    expect((await run(dlq, ['replay', '1'])).printed).toContain('0 still refused, 1 not open');
    expect(await world.aggregateOf('m')).toMatchObject({ count: 2, average: 7 });
  });

  const settingsLine = (settings: string) =>
    new RegExp(`^rating.ingest: replays with the settings of the service since \\S+Z: ${settings}\n`, 'm');

  it('dlq replay uses the settings of the last start of the service, not those of its own shell', async () => {
    await world.know('vega:m');
    await consumeWith({ scale: 5, idPrefix: 'vega:' });
    const { printed } = await run(dlq, ['replay', '1'], { INGEST_SCALE: '10', INGEST_ID_PREFIX: 'own:' });
    expect(printed).toMatch(settingsLine('INGEST_SCALE=5, INGEST_ID_PREFIX=vega:'));
    expect(printed).toContain('rating: 1 replayed');
    expect(await world.aggregateOf('vega:m')).toMatchObject({ count: 1, average: 10 });
    expect(await world.aggregateOf('own:m')).toMatchObject({ count: 0 });
  });

  it('dlq replay says that the service runs without a setting, whatever its own shell has', async () => {
    const { code, printed } = await run(dlq, ['replay', '1'], { INGEST_SCALE: '10' });
    expect(code).toBe(1);
    expect(printed).toMatch(settingsLine('INGEST_SCALE is not set, INGEST_ID_PREFIX='));
    expect(printed).toContain('1: still refused: SCALE_UNKNOWN: ');
  });

  it('dlq replay of a subgraph that has never run says so, and replays nothing', async () => {
    await world.subgraph.pool.query('TRUNCATE messaging.consumer_settings');
    await expect(run(dlq, ['replay', '--all'], { INGEST_SCALE: '10' })).rejects.toThrow(
      'rating has not been started on this database by this release, so the settings of its consumer ingest are not known. Start it with them, then replay.',
    );
    expect((await run(dlq, ['list'])).printed).toContain('rating.ingest: 2 × SCALE_UNKNOWN\n');
  });

  it('dlq lists dead letters even if the variables of its own shell are wrong', async () => {
    expect((await run(dlq, ['list'], { INGEST_SCALE: '7' })).printed).toContain('2 × SCALE_UNKNOWN');
  });

  it('dlq drop closes dead letters without consuming them', async () => {
    expect(await run(dlq, ['drop', '1', '4', '99'])).toEqual({
      code: 1,
      printed: '99: not open.\nrating: 2 dropped.\n',
    });
    expect((await run(dlq, ['replay', '1', '4'])).printed).toContain('2 not open');
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
