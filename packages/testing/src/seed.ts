import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';

/** A reproducible random generator: the same seed gives the same numbers. */
export interface SeededRandom {
  readonly seed: number;
  /** Returns an integer from 0 to `below` - 1. */
  int(below: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** Returns the items in random order. */
  shuffled<Item>(items: readonly Item[]): Item[];
}

/**
 * Creates a test's generator (mulberry32) and prints its seed. `TEST_SEED` sets the seed; without it, it is
 * `usualSeed`, or random.
 */
export const seededRandom = (what: string, usualSeed?: number): SeededRandom => {
  const { TEST_SEED: requestedSeed } = readEnv(
    { TEST_SEED: z.coerce.number().int().optional() },
    process.env,
  );
  const seed = requestedSeed ?? usualSeed ?? randomInt(2 ** 31);
  process.stderr.write(`${what}: TEST_SEED=${seed}\n`);
  let state = seed;
  const int = (below: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
  return {
    seed,
    int,
    pick: (items) => {
      const item = items[int(items.length)];
      if (item === undefined) throw new Error('There is nothing to pick from.');
      return item;
    },
    shuffled: (items) => {
      const rest = [...items];
      return items.flatMap(() => rest.splice(int(rest.length), 1));
    },
  };
};
