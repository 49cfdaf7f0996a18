import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { inTransaction } from '@cinegraph/database/transaction';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type { IncomingMessage } from '../../src/broker.js';
import { dropDeadLetters, findOpenDeadLetters } from '../../src/consumer/dead-letters.js';
import { recordDedupKey } from '../../src/consumer/inbox.js';
import { replayDeadLetter } from '../../src/consumer/replay.js';
import { message, openConsumerDatabase, words } from './support.js';
import type { ConsumerDefinition } from '../../src/consumer/consumer.js';

const { pool, consuming, effects, letters } = openConsumerDatabase();

/** Returns how many connections wait for a lock. */
const waiting = async () => {
  const { rows } = await pool().query<{ n: number }>(
    `SELECT count(*)::int AS n FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return rows[0]?.n ?? 0;
};

describe('replaying a dead letter', () => {
  const replay = (id: string, definition = words) =>
    replayDeadLetter({ pool: pool(), logger: silentLogger }, definition, id);
  const fixed: ConsumerDefinition<string> = {
    ...words,
    decode: (read) => ({ dedupKey: recordDedupKey(read), event: `fixed ${String(read.value)}` }),
  };

  it('a dead letter is replayed once, as its original message, however many replay it at once', () =>
    consuming(words, async (deliver) => {
      const bad = message('bad: word', { headers: { signature: Buffer.from('abc') } });
      await deliver([bad]);
      const [letter] = await letters();
      const seen: IncomingMessage[] = [];
      const watched: typeof fixed = {
        ...fixed,
        decode: (read) => {
          seen.push(read);
          return fixed.decode(read);
        },
        handle: async (tx, events) => {
          // One that did not wait for the lock would have its effect, too, and fail the test below.
          for (let looks = 0; looks < 100 && (await waiting()) < 3; looks += 1) await delay(10);
          return words.handle(tx, events);
        },
      };
      const outcomes = await Promise.all([1, 2, 3, 4].map(() => replay(letter!.id, watched)));
      expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual([
        ...['not open', 'not open', 'not open'],
        'replayed',
      ]);
      expect(seen).toEqual([{ ...bad, key: null }]);
      expect(await effects()).toEqual(['fixed bad: word']);
      await deliver([bad]);
      expect(await effects()).toEqual(['fixed bad: word']);
    }));

  it('a dead letter that is refused again stays open, with the new reason', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: word')]);
      const [letter] = await letters();
      const again = (event: string) => ({
        ...words,
        decode: (read: IncomingMessage) => ({ dedupKey: recordDedupKey(read), event }),
      });
      expect(await replay(letter!.id)).toMatchObject({ outcome: 'refused', code: 'BAD_WORD' });
      expect(await replay(letter!.id, again('refuse'))).toMatchObject({ code: 'NO_SUCH_WORD' });
      expect(await letters()).toMatchObject([{ code: 'NO_SUCH_WORD', reason: 'Say another.' }]);
      expect(await replay(letter!.id, again('break'))).toMatchObject({ code: 'HANDLER_FAILED' });
      expect(await letters()).toMatchObject([{ code: 'HANDLER_FAILED', state: 'open' }]);
      expect(await effects()).toEqual([]);
      expect(await replay(letter!.id, again('fine'))).toEqual({ outcome: 'replayed' });
      expect(await effects()).toEqual(['fine']);
    }));

  it('a dead letter that can now be decoded has no effect if another message brought its event', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: one'), message('bad: two')]);
      const [two, one] = await letters();
      const named = (event: string) => ({
        ...words,
        decode: () => ({ dedupKey: 'event:7', event }),
      });
      expect(await replay(one!.id, named('refuse'))).toMatchObject({ outcome: 'refused' });
      expect(await replay(one!.id, named('a'))).toEqual({ outcome: 'replayed' });
      expect(await replay(two!.id, named('a'))).toEqual({ outcome: 'duplicate' });
      expect(await effects()).toEqual(['a']);
      expect(await letters()).toEqual([]);
    }));

  it('a dropped dead letter is not replayed, and none is replayed by another consumer', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: one'), message('bad: two'), message('refuse')]);
      const ids = (code?: string) =>
        inTransaction(pool(), async (tx) =>
          (await findOpenDeadLetters(tx, { all: true, code })).map(({ id }) => id),
        );
      expect(await ids()).toHaveLength(3);
      const [first, second] = await ids('BAD_WORD');
      expect(await replay(first!, { ...fixed, name: 'others' })).toEqual({
        outcome: 'not open',
      });
      expect(await inTransaction(pool(), (tx) => dropDeadLetters(tx, [first!, '999999']))).toEqual(
        new Set([first]),
      );
      expect(await replay(first!, fixed)).toEqual({ outcome: 'not open' });
      expect(await ids('BAD_WORD')).toEqual([second]);
      expect(await effects()).toEqual([]);
    }));
});
