import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type { IncomingMessage, SubscriptionOptions } from '../src/broker.js';
import type { ConsumerDefinition } from '../src/consumer/consumer.js';
import { replayDeadLetter } from '../src/consumer/replay.js';
import {
  dropDeadLetters,
  findDeadLetter,
  findOpenDeadLetters,
  listDeadLetters,
} from '../src/consumer/dead-letters.js';
import { Refusal } from '@cinegraph/service/refusal';
import { recordDedupKey, pruneInbox } from '../src/consumer/inbox.js';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { openDeliveries } from '@cinegraph/testing/deliveries';
import { setTracing, type Tracing } from '@cinegraph/service/telemetry/tracing';
import { inTransaction } from '@cinegraph/database/transaction';

const migrations = new URL('../../../prisma/metadata/migrations/', import.meta.url);
const logger = silentLogger;

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase({ name: 'consumer', migrations });
});
afterAll(() => database.drop());
beforeEach(async () => {
  pool = new pg.Pool({ connectionString: database.url, max: 8, connectionTimeoutMillis: 2_000 });
  pool.on('error', () => undefined);
  await pool.query('CREATE TABLE IF NOT EXISTS effect (id bigint GENERATED ALWAYS AS IDENTITY, word text)');
  await pool.query('TRUNCATE effect, inbox, dead_letter, outbox');
});
afterEach(() => pool.end());

let offsets = 0;
const message = (value: string | Buffer | null, more: Partial<IncomingMessage> = {}): IncomingMessage => ({
  topic: 'words',
  partition: 3,
  offset: BigInt((offsets += 1)),
  appendedAt: new Date(Date.UTC(2026, 0, 1) + offsets),
  key: null,
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers: {},
  ...more,
});

/** Writes each word down; `bad: …` is poison, `refuse` is refused, `skip` is nothing to it, `break` breaks the handler. */
const words: ConsumerDefinition<string> = {
  name: 'words',
  topics: ['words'],
  deadLetterTopic: (topic) => `${topic}.dlq`,
  decode: (read) => {
    const identity = recordDedupKey(read);
    const text = read.value?.toString() ?? 'bad: nothing';
    if (text === 'skip') return null;
    if (text === 'throw') throw new Error('the decoder is broken');
    return text.startsWith('bad: ')
      ? { identity, code: 'BAD_WORD', reason: text.slice(5) }
      : { identity, event: text };
  },
  handle: async (tx, events) => {
    await tx.$executeRawUnsafe('INSERT INTO effect (word) SELECT unnest($1::text[])', [
      ...events.filter((word) => word !== 'refuse'),
    ]);
    if (events.includes('break')) throw new Error('relation "secret" is broken');
    return events.map((word) => (word === 'refuse' ? new Refusal('NO_SUCH_WORD', 'Say another.') : null));
  },
};

type Deliver = (messages: readonly IncomingMessage[]) => Promise<void>;

/** Runs `work` with a consumer whose broker is this test: it delivers what and when it likes. */
const consuming = async (
  definition: ConsumerDefinition<string>,
  work: (deliver: Deliver, subscribed: SubscriptionOptions) => Promise<void>,
) => {
  const { deliver, subscribed, stop } = await openDeliveries({ subgraph: 'sub', pool }, definition);
  try {
    await work(deliver, subscribed);
  } finally {
    await stop();
  }
};

const effects = async () =>
  (await pool.query<{ word: string }>('SELECT word FROM effect ORDER BY id')).rows.map(({ word }) => word);

/** How many connections wait for a lock. */
const waiting = async () =>
  (
    await pool.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
  ).rows[0]?.n ?? 0;

const letters = () => inTransaction(pool, (tx) => listDeadLetters(tx, { limit: 1_000 }));

describe('a consumer', () => {
  it('subscribes as a group of its subgraph', () =>
    consuming({ ...words, maxBatch: 7 }, async (_deliver, { group, topics, maxBatch }) => {
      expect({ group, topics, maxBatch }).toEqual({ group: 'sub.words', topics: ['words'], maxBatch: 7 });
    }));

  it('handles messages in order, and each of them once, however often it is delivered', () =>
    consuming(words, async (deliver) => {
      const batch = ['a', 'b', 'c'].map((word) => message(word));
      await deliver(batch);
      await deliver([...batch, ...batch, message('d')]);
      await deliver(batch.toReversed());
      expect(await effects()).toEqual(['a', 'b', 'c', 'd']);
    }));

  it('handles messages once that two members of its group get at once, in whatever order', () =>
    consuming(words, (one) =>
      consuming(words, async (other) => {
        const batch = Array.from({ length: 300 }, (_, n) => message(`w${n}`));
        await Promise.all([one(batch), other(batch.toReversed()), one(batch.slice(100)), other(batch)]);
        expect((await effects()).toSorted()).toEqual(batch.map(({ value }) => String(value)).toSorted());
      }),
    ));

  it('goes by the indexes of a table that was small when its statements were prepared', async () => {
    await pool.query('DROP TABLE IF EXISTS known; CREATE TABLE known (word text PRIMARY KEY, times int)');
    const counting: ConsumerDefinition<string> = {
      ...words,
      handle: async (tx, events) => {
        await tx.$executeRawUnsafe(
          `WITH said AS (SELECT word, word || '' AS again FROM unnest($1::text[]) AS word),
             present AS (SELECT said.word, known.word AS before FROM said LEFT JOIN known ON known.word = said.again)
           INSERT INTO known SELECT word, 1 FROM present WHERE before IS NULL`,
          events,
        );
        return undefined;
      },
    };
    await consuming(counting, async (deliver) => {
      for (let batch = 0; batch < 20; batch += 1) {
        await deliver(Array.from({ length: 50 }, (_, n) => message(`${batch}-${n}`)));
        // Of a page or two: to read all of it costs less than the index.
        if (batch === 0) await pool.query('ANALYZE known');
      }
    });
    const stats = async () =>
      (
        await pool.query<{ seq_tup_read: string; n_tup_ins: string }>(
          `SELECT seq_tup_read, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'known'`,
        )
      ).rows[0];
    // Connections tell what they did when they end.
    for (let left = 500; (await stats())?.n_tup_ins !== '1000' && left > 0; left -= 1) await delay(20);
    // Those of ANALYZE, at most.
    expect(Number((await stats())?.seq_tup_read)).toBeLessThanOrEqual(50);
  });

  it('leaves out what is nothing to it', () =>
    consuming(words, async (deliver) => {
      await deliver([message('skip')]);
      await deliver([message('a'), message('skip')]);
      expect(await effects()).toEqual(['a']);
      expect(await letters()).toEqual([]);
    }));

  it('takes nothing in, and says so, while the store is away, and all of it later', () =>
    consuming(
      {
        ...words,
        handle: async (tx, events) => {
          const outcomes = await words.handle(tx, events);
          if (cut) await tx.$queryRawUnsafe('SELECT pg_terminate_backend(pg_backend_pid())');
          return outcomes;
        },
      },
      async (deliver) => {
        const batch = [message('a'), message('bad: word'), message('b')];
        cut = true;
        await expect(deliver(batch)).rejects.toThrow();
        expect(await effects()).toEqual([]);
        expect(await letters()).toEqual([]);
        cut = false;
        await deliver(batch);
        expect(await effects()).toEqual(['a', 'b']);
        expect(await letters()).toHaveLength(1);
      },
    ));
  let cut = false;

  it('makes no message a dead letter of what is wrong with the store, and takes all of them in once that is mended', () =>
    consuming(words, async (deliver) => {
      const batch = ['a', 'b', 'c'].map((word) => message(word));
      const faults = [
        ['ALTER TABLE effect RENAME TO gone', 'ALTER TABLE gone RENAME TO effect'],
        ['ALTER TABLE effect RENAME word TO gone', 'ALTER TABLE effect RENAME gone TO word'],
        ['ALTER TABLE inbox RENAME TO gone', 'ALTER TABLE gone RENAME TO inbox'],
      ] as const;
      for (const [broken, mended] of faults) {
        await pool.query(broken);
        await expect(deliver(batch)).rejects.toThrow('does not exist');
        await pool.query(mended);
      }
      expect([await effects(), await letters()]).toEqual([[], []]);
      await deliver(batch);
      expect([await effects(), await letters()]).toEqual([['a', 'b', 'c'], []]);
    }));

  it('runs a batch again that lost a deadlock', async () => {
    let conflicts = 2;
    await consuming(
      {
        ...words,
        handle: async (tx, events) => {
          if ((conflicts -= 1) >= 0) await tx.$executeRawUnsafe(`DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$`);
          return words.handle(tx, events);
        },
      },
      async (deliver) => {
        await deliver([message('a'), message('b')]);
        expect(await effects()).toEqual(['a', 'b']);
        expect(await letters()).toEqual([]);
      },
    );
  });
});

describe('a message that cannot be taken in', () => {
  it('is a dead letter with its bytes, place and reason, in the table and for the topic, and stops nothing', () =>
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
      expect(letter).toMatchObject({ code: 'BAD_WORD', identity: recordDedupKey(bad), state: 'open' });
      expect(letter?.reason).toMatch(/^\\u\{0\} \\u\{1b\}\[31mred/);
      const whole = await inTransaction(pool, (tx) => findDeadLetter(tx, letter!.id));
      expect(whole?.message).toMatchObject({
        ...{ topic: 'words', partition: 3, offset: bad.offset, appendedAt: bad.appendedAt },
        ...{ key: bad.key, value },
      });
      expect(Object.keys(whole!.message.headers).toSorted()).toEqual([
        'content-type',
        'signature',
        'traceparent',
      ]);
      const { rows } = await pool.query('SELECT topic, key, value, headers, type FROM outbox');
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

  it('is one however the handler finds it: by refusal, or by failing on it wherever it stands', () =>
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

  it('may be empty, no UTF-8, or as large as its topic takes, many at once', () =>
    consuming(
      { ...words, decode: (read) => ({ identity: recordDedupKey(read), code: 'BAD', reason: 'bad' }) },
      async (deliver) => {
        const large = Array.from({ length: 12 }, (_, n) => message(Buffer.alloc(2 ** 20, n)));
        await deliver([message(null), message(''), message(Buffer.from([0xff, 0xfe, 0])), ...large]);
        const { rows } = await pool.query<{ n: number; same: boolean }>(`
          SELECT count(*)::int AS n, bool_and(o.value IS NOT DISTINCT FROM d.value) AS same
          FROM dead_letter d JOIN outbox o ON o.headers ->> 'dead-letter-offset' = d."offset"::text`);
        expect(rows).toEqual([{ n: 15, same: true }]);
      },
    ));
});

describe('a dead letter', () => {
  const replay = (id: string, definition = words) => replayDeadLetter({ pool, logger }, definition, id);
  const mended: ConsumerDefinition<string> = {
    ...words,
    decode: (read) => ({ identity: recordDedupKey(read), event: `mended ${String(read.value)}` }),
  };

  it('is replayed once, as the message that it was, however often and by however many', () =>
    consuming(words, async (deliver) => {
      const bad = message('bad: word', { headers: { signature: Buffer.from('abc') } });
      await deliver([bad]);
      const [letter] = await letters();
      const seen: IncomingMessage[] = [];
      const watched: typeof mended = {
        ...mended,
        decode: (read) => {
          seen.push(read);
          return mended.decode(read);
        },
        handle: async (tx, events) => {
          // Until the three others wait for this one; who does not wait has its effect as well.
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
      expect(await effects()).toEqual(['mended bad: word']);
      await deliver([bad]);
      expect(await effects()).toEqual(['mended bad: word']);
    }));

  it('stays open with the new reason when it is refused again', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: word')]);
      const [letter] = await letters();
      const again = (event: string) => ({
        ...words,
        decode: (read: IncomingMessage) => ({ identity: recordDedupKey(read), event }),
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

  it('whose event is known by an id now has its effect only if no other message brought it', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: one'), message('bad: two')]);
      const [two, one] = await letters();
      const named = (event: string) => ({
        ...words,
        decode: () => ({ identity: 'event:7', event }),
      });
      expect(await replay(one!.id, named('refuse'))).toMatchObject({ outcome: 'refused' });
      expect(await replay(one!.id, named('a'))).toEqual({ outcome: 'replayed' });
      expect(await replay(two!.id, named('a'))).toEqual({ outcome: 'duplicate' });
      expect(await effects()).toEqual(['a']);
      expect(await letters()).toEqual([]);
    }));

  it('can be dropped, and is not replayed then, nor by another consumer than its own', () =>
    consuming(words, async (deliver) => {
      await deliver([message('bad: one'), message('bad: two'), message('refuse')]);
      const ids = (code?: string) =>
        inTransaction(pool, async (tx) =>
          (await findOpenDeadLetters(tx, { all: true, code })).map(({ id }) => id),
        );
      expect(await ids()).toHaveLength(3);
      const [first, second] = await ids('BAD_WORD');
      expect(await replay(first!, { ...mended, name: 'others' })).toEqual({
        outcome: 'not open',
      });
      expect(await inTransaction(pool, (tx) => dropDeadLetters(tx, [first!, '999999']))).toEqual(
        new Set([first]),
      );
      expect(await replay(first!, mended)).toEqual({ outcome: 'not open' });
      expect(await ids('BAD_WORD')).toEqual([second]);
      expect(await effects()).toEqual([]);
    }));
});

describe('what was taken in', () => {
  it('is forgotten after fourteen days, and dead letters thirty days after somebody dealt with them or ninety days after they came', () =>
    consuming(words, async (deliver) => {
      await deliver([message('a'), message('bad: open'), message('bad: dropped')]);
      const [dropped] = await letters();
      await inTransaction(pool, (tx) => dropDeadLetters(tx, [dropped!.id]));
      const prune = (days: number) =>
        inTransaction(pool, (tx) => pruneInbox(tx, new Date(Date.now() + days * 24 * 60 * 60 * 1000)));
      const none = { identities: 0, deadLetters: 0, openDeadLetters: 0 };
      expect(await prune(13)).toEqual(none);
      expect(await prune(15)).toEqual({ ...none, identities: 3 });
      expect(await prune(29)).toEqual(none);
      expect(await prune(31)).toEqual({ ...none, deadLetters: 1 });
      expect(await prune(89)).toEqual(none);
      expect(await letters()).toHaveLength(1);
      expect(await prune(91)).toEqual({ ...none, openDeadLetters: 1 });
      expect(await letters()).toEqual([]);
    }));
});

describe('a trace', () => {
  afterEach(() => setTracing(untraced));

  it('goes on in a span of each event that carries one, ended with what became of it', () =>
    consuming(
      {
        ...words,
        decode: (read) => ({
          identity: recordDedupKey(read),
          event: String(read.value),
          trace: String(read.key),
        }),
      },
      async (deliver) => {
        const ended: string[] = [];
        setTracing({
          ...untraced,
          openSpan: (trace, name, kind) => ({
            trace,
            within: (work) => work(),
            end: (outcome) => ended.push(`${trace} ${name} ${kind} ${outcome ?? 'ok'}`),
          }),
        });
        const one = message('a', { key: Buffer.from('t1') });
        await deliver([one, message('break', { key: Buffer.from('t2') })]);
        await deliver([one]);
        expect(ended.filter((line) => line.startsWith('t1'))).toEqual([
          't1 process words consumer failed',
          't1 process words consumer ok',
        ]);
        expect(ended.filter((line) => line.startsWith('t2'))).not.toContain('t2 process words consumer ok');
      },
    ));
});

const untraced: Tracing = {
  ids: () => undefined,
  traceparent: () => undefined,
  openSpan: () => undefined,
  headers: [],
  stop: async () => undefined,
};
