import { describe, expect, it } from '@jest/globals';
import { createWriteBatcher as create } from './write-batcher.js';
import { Refusal } from '@cinegraph/service/refusal';

let serial = 0;

/** Creates a batcher; by default its commands have different keys and one conflict group. */
const createWriteBatcher = <Command, Answer>(
  options: Omit<Parameters<typeof create<Command, Answer>>[0], 'commandKey' | 'conflictGroup'> &
    Partial<Parameters<typeof create<Command, Answer>>[0]>,
) =>
  create<Command, Answer>({
    commandKey: () => String((serial += 1)),
    conflictGroup: () => '',
    ...options,
  });

describe('a write batcher', () => {
  it('a batcher collects the commands that arrive while a batch runs into the next batch', async () => {
    const batches: (readonly number[])[] = [];
    const gates: (() => void)[] = [];
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => {
        batches.push(batch);
        await new Promise<void>((resolve) => gates.push(resolve));
        return batch.map((n) => n * 2);
      },
    });
    const first = submit(1);
    while (gates.length === 0) await new Promise(setImmediate);
    const rest = [submit(2), submit(3), submit(4)];
    gates.shift()?.();
    expect(await first).toBe(2);
    while (gates.length === 0) await new Promise(setImmediate);
    gates.shift()?.();
    expect(await Promise.all(rest)).toEqual([4, 6, 8]);
    expect(batches).toEqual([[1], [2, 3, 4]]);
  });

  it('a batcher limits the size of batches', async () => {
    const sizes: number[] = [];
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => {
        sizes.push(batch.length);
        return batch;
      },
      maxBatch: 3,
    });
    await Promise.all(Array.from({ length: 8 }, (_, n) => submit(n)));
    expect(sizes).toEqual([3, 3, 2]);
  });

  it('a batcher rejects only the command that is refused', async () => {
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => batch.map((n) => (n === 2 ? new Refusal('NO_TWO', 'Not two.') : n)),
    });
    const settled = await Promise.allSettled([1, 2, 3].map(submit));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('a batcher splits a failing batch until the command that causes it is alone', async () => {
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => {
        if (batch.includes(5)) throw new Error('five breaks the statement');
        return batch;
      },
    });
    const settled = await Promise.allSettled(Array.from({ length: 9 }, (_, n) => submit(n)));
    expect(settled.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([5]);
  });

  it('a batcher fails a whole batch without splitting it if the store is unavailable', async () => {
    let runs = 0;
    const { submit } = createWriteBatcher<number, number>({
      run: async () => {
        runs += 1;
        throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      },
    });
    const settled = await Promise.allSettled([1, 2, 3, 4].map(submit));
    expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
    expect(runs).toBe(1);
  });

  it('a batcher runs a batch again that lost a deadlock', async () => {
    let runs = 0;
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => {
        runs += 1;
        if (runs < 3) {
          throw Object.assign(new Error('raw query failed'), {
            code: 'P2010',
            meta: { driverAdapterError: { cause: { originalCode: '40P01' } } },
          });
        }
        return batch;
      },
    });
    expect(await Promise.all([submit(1), submit(2)])).toEqual([1, 2]);
    expect(runs).toBe(3);
  });

  it('a batcher refuses commands while too many are waiting', async () => {
    const { submit } = createWriteBatcher<number, number>({
      run: async (batch) => batch,
      maxWaiting: 2,
    });
    const settled = await Promise.allSettled([1, 2, 3].map(submit));
    expect(settled[2]).toMatchObject({ status: 'rejected', reason: { code: 'OVERLOADED' } });
    expect(settled.slice(0, 2).every(({ status }) => status === 'fulfilled')).toBe(true);
  });

  it('a batcher writes all waiting commands before it stops, and then refuses new ones', async () => {
    const { submit, part } = createWriteBatcher<number, number>({
      run: async (batch) => {
        await new Promise(setImmediate);
        return batch;
      },
    });
    const waiting = [submit(1), submit(2)];
    await part.stop();
    expect(await Promise.all(waiting)).toEqual([1, 2]);
    await expect(submit(3)).rejects.toMatchObject({ code: 'OVERLOADED' });
  });

  it('a batcher never puts two commands of one key into a batch, and keeps their order', async () => {
    const batches: (readonly string[])[] = [];
    const { submit } = createWriteBatcher<string, string>({
      commandKey: (command) => command.charAt(0),
      run: async (batch) => {
        batches.push(batch);
        return batch;
      },
    });
    await Promise.all(['a1', 'b1', 'a2', 'c1', 'a3', 'b2'].map(submit));
    expect(batches).toEqual([['a1', 'b1', 'c1'], ['a2', 'b2'], ['a3']]);
  });

  it('a batcher writes the conflict groups of a batch separately if one of them is locked', async () => {
    const { submit } = createWriteBatcher<string, string>({
      conflictGroup: (command) => command.charAt(0),
      run: async (batch) => {
        if (batch.some((command) => command.startsWith('locked'))) {
          throw Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' });
        }
        return batch;
      },
    });
    const settled = await Promise.allSettled(['a1', 'locked 1', 'b1', 'locked 2', 'a2'].map(submit));
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
  });
});
