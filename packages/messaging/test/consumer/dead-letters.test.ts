import { describe, expect, it } from '@jest/globals';
import { inTransaction } from '@cinegraph/database/transaction';
import { dropDeadLetters, findDeadLetter, pruneDeadLetters } from '../../src/consumer/dead-letters.js';
import { pruneInbox, recordDedupKey } from '../../src/consumer/inbox.js';
import { message, openConsumerDatabase, words } from './support.js';

const { pool, consuming, effects, letters } = openConsumerDatabase();

describe('a message that cannot be handled', () => {
  it('a message that cannot be decoded becomes a dead letter with its bytes, position and reason, in table and topic', () =>
    consuming(words, async (deliver) => {
      const value = Buffer.from('bad: \u0000 \u001b[31mred \ud83d');
      const bad = message(value, {
        key: Buffer.from('k'),
        headers: {
          signature: Buffer.from('abc'),
          traceparent: Buffer.from([0, 255, 10]),
          cookie: Buffer.from('secret'),
          'content-type': Buffer.alloc(100_000, 'x'),
        },
      });
      await deliver([message('a'), bad, message('b')]);
      await deliver([bad]);
      expect(await effects()).toEqual(['a', 'b']);
      const [letter, ...more] = await letters();
      expect(more).toEqual([]);
      expect(letter).toMatchObject({ code: 'BAD_WORD', dedupKey: recordDedupKey(bad), state: 'open' });
      expect(letter?.reason).toMatch(/^\\u\{0\} \\u\{1b\}\[31mred/);
      const whole = await inTransaction(pool(), (tx) => findDeadLetter(tx, letter!.id));
      expect(whole?.message).toMatchObject({
        ...{ topic: 'words', partition: 3, offset: bad.offset, appendedAt: bad.appendedAt },
        ...{ key: bad.key, value },
      });
      expect(Object.keys(whole!.message.headers).toSorted()).toEqual([
        'content-type',
        'signature',
        'traceparent',
      ]);
      const { rows } = await pool().query('SELECT topic, key, value, headers, type FROM outbox');
      expect(rows).toEqual([
        {
          topic: 'words.dlq',
          key: 'k',
          value,
          type: null,
          headers: {
            signature: 'abc',
            traceparent: '\\u{0}\u00ff\\u{a}',
            'content-type': 'x'.repeat(500),
            'dead-letter-code': 'BAD_WORD',
            'dead-letter-reason': letter?.reason,
            'dead-letter-consumer': 'words',
            'dead-letter-topic': 'words',
            'dead-letter-partition': '3',
            'dead-letter-offset': String(bad.offset),
            'dead-letter-time': bad.appendedAt.toISOString(),
          },
        },
      ]);
    }));

  it('a message that the handler refuses or fails on becomes a dead letter, wherever it is in the batch', () =>
    consuming(words, async (deliver) => {
      const batch = Array.from({ length: 64 }, (_, n) => message(`w${n}`));
      for (const at of [0, 31, 63]) batch[at] = message('break');
      batch[40] = message('refuse');
      batch[41] = message('throw');
      await deliver(batch);
      expect(await effects()).toEqual(
        batch.map(({ value }) => String(value)).filter((word) => word.startsWith('w')),
      );
      const found = (await letters()).map(({ code, reason }) => ({ code, reason }));
      expect(found.map(({ code }) => code).toSorted()).toEqual([
        ...Array.from({ length: 4 }, () => 'HANDLER_FAILED'),
        'NO_SUCH_WORD',
      ]);
      expect(JSON.stringify(found)).not.toContain('secret');
    }));

  it('a dead letter may be empty, not UTF-8, or as large as its topic accepts, also many at once', () =>
    consuming(
      { ...words, decode: (read) => ({ dedupKey: recordDedupKey(read), code: 'BAD', reason: 'bad' }) },
      async (deliver) => {
        const large = Array.from({ length: 12 }, (_, n) => message(Buffer.alloc(2 ** 20, n)));
        await deliver([message(null), message(''), message(Buffer.from([0xff, 0xfe, 0])), ...large]);
        const { rows } = await pool().query<{ n: number; same: boolean }>(`
          SELECT count(*)::int AS n, bool_and(o.value IS NOT DISTINCT FROM d.value) AS same
          FROM dead_letter d JOIN outbox o ON o.headers ->> 'dead-letter-offset' = d."offset"::text`);
        expect(rows).toEqual([{ n: 15, same: true }]);
      },
    ));
});

describe('pruning', () => {
  it('inbox rows are removed after 14 days, closed dead letters after 30 and open ones after 90', () =>
    consuming(words, async (deliver) => {
      await deliver([message('a'), message('bad: open'), message('bad: dropped')]);
      const [dropped] = await letters();
      await inTransaction(pool(), (tx) => dropDeadLetters(tx, [dropped!.id]));
      const prune = (days: number) =>
        inTransaction(pool(), async (tx) => {
          const now = new Date(Date.now() + days * 24 * 60 * 60 * 1000);
          return { inbox: await pruneInbox(tx, now), ...(await pruneDeadLetters(tx, now)) };
        });
      const none = { inbox: 0, closed: 0, open: 0 };
      expect(await prune(13)).toEqual(none);
      expect(await prune(15)).toEqual({ ...none, inbox: 3 });
      expect(await prune(29)).toEqual(none);
      expect(await prune(31)).toEqual({ ...none, closed: 1 });
      expect(await prune(89)).toEqual(none);
      expect(await letters()).toHaveLength(1);
      expect(await prune(91)).toEqual({ ...none, open: 1 });
      expect(await letters()).toEqual([]);
    }));
});
