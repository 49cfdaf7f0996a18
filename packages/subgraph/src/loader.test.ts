import { describe, expect, it } from '@jest/globals';
import { createLoader } from './loader.js';

/** Creates a loader that loads each key in capitals, and records the keys of each batch. */
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
  it('a loader reads the keys of a tick in one batch, each key once, for all callers', async () => {
    const { loader, asked } = shout();
    const answers = await Promise.all([
      ...['a', 'b', 'a'].map((key) => loader.load(key)),
      Promise.resolve().then(() => loader.load('c')),
      new Promise((resolve) => process.nextTick(resolve)).then(() => loader.load('b')),
    ]);
    expect(answers).toEqual(['A', 'B', 'A', 'C', 'B']);
    expect(asked).toEqual([['a', 'b', 'c']]);
  });

  it('a loader caches nothing from one tick to the next', async () => {
    const { loader, asked } = shout();
    await loader.load('a');
    await loader.load('a');
    expect(asked).toEqual([['a'], ['a']]);
  });

  it('a loader loads a key that was not found as its missing value', async () => {
    expect(await shout().loader.load('unknown')).toBe('no unknown');
  });

  it('a loader counts equal keys once for its batch size', async () => {
    const { loader, asked } = shout(2);
    await Promise.all(Array.from({ length: 50 }, (_, n) => loader.load(n % 2 ? 'a' : 'b')));
    expect(asked).toEqual([['b', 'a']]);
  });

  it('a loader splits keys beyond its batch size into several batches', async () => {
    const { loader, asked } = shout(2);
    await Promise.all(['a', 'b', 'c'].map((key) => loader.load(key)));
    expect(asked).toEqual([['a', 'b'], ['c']]);
  });

  it('a loader rejects one key if its value is an Error, and all keys if the batch fails', async () => {
    const loader = createLoader({
      find: async (keys: readonly string[]) => {
        if (keys.includes('fatal')) throw new Error('unavailable');
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
