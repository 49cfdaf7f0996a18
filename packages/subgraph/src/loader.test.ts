import { describe, expect, it } from '@jest/globals';
import { createLoader } from './loader.js';

/** A loader that answers each key with itself in capitals, and what it was asked. */
const shout = (maxBatchSize?: number) => {
  const asked: (readonly string[])[] = [];
  const loader = createLoader({
    find: async (keys: readonly string[]) => {
      asked.push(keys);
      return new Map(keys.flatMap((key) => (key === 'unknown' ? [] : [[key, key.toUpperCase()]])));
    },
    keyOf: (key) => key,
    missing: (key) => `no ${key}`,
    ...(maxBatchSize !== undefined && { maxBatchSize }),
  });
  return { loader, asked };
};

describe('a loader', () => {
  it('asks once for all keys of a tick, each key once, over every caller', async () => {
    const { loader, asked } = shout();
    const answers = await Promise.all([
      ...['a', 'b', 'a'].map((key) => loader.load(key)),
      Promise.resolve().then(() => loader.load('c')),
      new Promise((resolve) => process.nextTick(resolve)).then(() => loader.load('b')),
    ]);
    expect(answers).toEqual(['A', 'B', 'A', 'C', 'B']);
    expect(asked).toEqual([['a', 'b', 'c']]);
  });

  it('remembers nothing from one tick to the next', async () => {
    const { loader, asked } = shout();
    await loader.load('a');
    await loader.load('a');
    expect(asked).toEqual([['a'], ['a']]);
  });

  it('answers what was not found with what stands for missing', async () => {
    expect(await shout().loader.load('unknown')).toBe('no unknown');
  });

  it('counts equal keys once for its batch size', async () => {
    const { loader, asked } = shout(2);
    await Promise.all(Array.from({ length: 50 }, (_, n) => loader.load(n % 2 ? 'a' : 'b')));
    expect(asked).toEqual([['b', 'a']]);
  });

  it('asks in parts beyond its batch size', async () => {
    const { loader, asked } = shout(2);
    await Promise.all(['a', 'b', 'c'].map((key) => loader.load(key)));
    expect(asked).toEqual([['a', 'b'], ['c']]);
  });

  it('rejects one key for an Error of its own, and all keys when the batch fails', async () => {
    const loader = createLoader({
      find: async (keys: readonly string[]) => {
        if (keys.includes('fatal')) throw new Error('away');
        return new Map<string, string | Error>([
          ['bad', new Error('bad alone')],
          ['good', 'fine'],
        ]);
      },
      keyOf: (key) => key,
      missing: () => null,
    });
    const settled = await Promise.allSettled([loader.load('bad'), loader.load('good')]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    const failed = await Promise.allSettled([loader.load('good'), loader.load('fatal')]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
