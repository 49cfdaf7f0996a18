import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { inTransaction } from '@cinegraph/database/transaction';
import { Refusal } from '@cinegraph/service/refusal';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import type pg from 'pg';
import { answerBatch, withIdempotency, type KeyedCommand } from '../src/idempotency.js';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  // Every subgraph with mutations has the table `idempotency` in its migrations.
  const migrations = new URL('../../../prisma/rating/migrations/', import.meta.url);
  database = await testDatabase({ name: 'rating', migrations: [{ migrations }] });
  pool = testPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query('TRUNCATE idempotency'));

const now = new Date('2026-01-01T00:00:00Z');

interface Addition {
  readonly amount: number;
  readonly keyed: KeyedCommand | null;
}

/** A command of the viewer `ann` that adds; without a key it is executed each time. */
const add = (amount: number, key?: string): Addition => ({
  amount,
  keyed:
    key === undefined
      ? null
      : { viewerId: 'ann', key, operation: 'add', arguments: { amount, comment: null } },
});

/** Answers a batch, and returns its outcomes and the amounts that were added; an amount of 0 is refused. */
const answer = async (batch: readonly Addition[], at = now) => {
  const added: number[] = [];
  const outcomes = await inTransaction(pool, (tx) =>
    answerBatch(tx, batch, at, async (commands) =>
      commands.map(({ amount }) => {
        added.push(amount);
        return amount === 0
          ? new Refusal('NOTHING_TO_ADD', 'Add something.', { least: 1 })
          : { added: amount };
      }),
    ),
  );
  return { outcomes, added };
};

const reused = expect.objectContaining({ code: 'IDEMPOTENCY_KEY_REUSED' });

describe('a batch under idempotency keys', () => {
  it('a batch executes every command without a key, and returns its outcomes in order', async () => {
    expect(await answer([add(1), add(2), add(1)])).toEqual({
      outcomes: [{ added: 1 }, { added: 2 }, { added: 1 }],
      added: [1, 2, 1],
    });
  });

  it('a batch executes a key once, and returns the stored outcome for it from then on', async () => {
    const batch = [add(1, 'a'), add(2), add(3, 'b')];
    expect((await answer(batch)).added).toEqual([1, 2, 3]);
    expect(await answer(batch)).toEqual({
      outcomes: [{ added: 1 }, { added: 2 }, { added: 3 }],
      added: [2],
    });
  });

  it('a batch executes equal commands under one key once, and gives all of them its outcome', async () => {
    expect(await answer([add(1, 'a'), add(2), add(1, 'a'), add(1, 'a')])).toEqual({
      outcomes: [{ added: 1 }, { added: 2 }, { added: 1 }, { added: 1 }],
      added: [1, 2],
    });
  });

  it('a batch refuses a key with other arguments, within the batch and later', async () => {
    expect(await answer([add(1, 'a'), add(2, 'a'), add(3, 'b')])).toEqual({
      outcomes: [{ added: 1 }, reused, { added: 3 }],
      added: [1, 3],
    });
    expect(await answer([add(2, 'a')])).toEqual({ outcomes: [reused], added: [] });
  });

  it('a batch compares arguments by value, in whatever order their names are', async () => {
    const [first, second] = [add(1, 'a'), add(1, 'a')];
    await answer([first]);
    const reordered = { ...second, keyed: { ...second.keyed!, arguments: { comment: null, amount: 1 } } };
    expect(await answer([reordered])).toEqual({ outcomes: [{ added: 1 }], added: [] });
  });

  it('a batch keeps keys of different viewers apart', async () => {
    await answer([add(1, 'a')]);
    const other = add(2, 'a');
    expect(await answer([{ ...other, keyed: { ...other.keyed!, viewerId: 'bob' } }])).toEqual({
      outcomes: [{ added: 2 }],
      added: [2],
    });
  });

  it('a batch stores a refusal with its code, message and details', async () => {
    const { outcomes } = await answer([add(0, 'a'), add(1, 'b')]);
    const again = await answer([add(0, 'a'), add(1, 'b')]);
    expect(again.added).toEqual([]);
    expect(again.outcomes).toEqual(outcomes);
    expect(again.outcomes[0]).toBeInstanceOf(Refusal);
    expect(again.outcomes[0]).toMatchObject({ code: 'NOTHING_TO_ADD', details: { least: 1 } });
  });

  it('a batch executes a key again after 24 hours', async () => {
    await answer([add(1, 'a')]);
    const day = 24 * 60 * 60 * 1000;
    expect((await answer([add(1, 'a')], new Date(now.getTime() + day - 1))).added).toEqual([]);
    expect((await answer([add(2, 'a')], new Date(now.getTime() + day))).added).toEqual([2]);
  });

  it('a batch that fails leaves its keys unused', async () => {
    const failing = inTransaction(pool, (tx) =>
      answerBatch(tx, [add(1, 'a')], now, async () => {
        throw new Error('the write failed');
      }),
    );
    await expect(failing).rejects.toThrow('the write failed');
    expect((await answer([add(1, 'a')])).added).toEqual([1]);
  });

  it('a batch fails if its commands do not get one outcome each', async () => {
    const failing = inTransaction(pool, (tx) => answerBatch(tx, [add(1, 'a'), add(2)], now, async () => [1]));
    await expect(failing).rejects.toThrow('one outcome for each command');
  });

  it('two batches that claim the same keys at once execute each key once', async () => {
    const keys = Array.from({ length: 20 }, (_, n) => `key ${n}`);
    const [left, right] = await Promise.all([
      answer(keys.map((key) => add(1, key))),
      answer(keys.toReversed().map((key) => add(1, key))),
    ]);
    expect(left.added.length + right.added.length).toBe(20);
    expect([...left.outcomes, ...right.outcomes]).toEqual(Array.from({ length: 40 }, () => ({ added: 1 })));
  });
});

describe('one command under an idempotency key', () => {
  const command = add(1, 'a').keyed!;
  const run = (work: () => Promise<unknown>) =>
    inTransaction(pool, (tx) => withIdempotency(tx, command, now, work));

  it('a command that is refused gets the same refusal when it is sent again', async () => {
    const refuse = async () => {
      throw new Refusal('NOTHING_TO_ADD', 'Add something.');
    };
    expect(await run(refuse)).toMatchObject({ code: 'NOTHING_TO_ADD' });
    expect(await run(async () => 1)).toMatchObject({ code: 'NOTHING_TO_ADD' });
  });

  it('a command that fails is executed when it is sent again', async () => {
    const fail = async () => {
      throw new Error('the write failed');
    };
    await expect(run(fail)).rejects.toThrow('the write failed');
    expect(await run(async () => 1)).toBe(1);
    expect(await run(async () => 2)).toBe(1);
  });
});
