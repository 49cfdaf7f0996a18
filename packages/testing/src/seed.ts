import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';

/** Chance that can be had again: numbers from a seed. */
export interface SeededRandom {
  readonly seed: number;
  /** A whole number from 0 up to, and without, `below`. */
  int(below: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** The items in another order. */
  shuffled<Item>(items: readonly Item[]): Item[];
}

/** Chance for a test, whose seed is printed; `TEST_SEED` gives it again. The numbers are mulberry32's. */
export const seededRandom = (what: string): SeededRandom => {
  const { TEST_SEED: given } = readEnv({ TEST_SEED: z.coerce.number().int().optional() }, process.env);
  const seed = given ?? randomInt(2 ** 31);
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
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    shuffled: (items) => {
      const rest = [...items];
      return items.flatMap(() => rest.splice(int(rest.length), 1));
    },
  };
};
