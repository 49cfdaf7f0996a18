import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { readFaultSettings } from '@cinegraph/kit/testing/faults';

const env = readFaultSettings();

/** The short form runs with every change, the long one before a release: `npm run test:faults -- --long`. */
export const sized = <Size>({ short, long }: { short: Size; long: Size }): Size =>
  env.FAULTS === 'long' ? long : short;

/** A source of chance that can be had again: it prints its seed, and `FAULTS_SEED` sets it. */
export interface Chance {
  readonly seed: number;
  /** From 0 to below `end`. */
  below(end: number): number;
  /** True in so many of a hundred. */
  percent(share: number): boolean;
  shuffled<Item>(items: readonly Item[]): Item[];
}

/** Opens the chance of one test and prints its seed under the test's name. */
export const openChance = (name: string): Chance => {
  const seed = env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 31);
  process.stdout.write(`${name}: FAULTS_SEED=${seed}\n`);
  // mulberry32, by Tommy Ettinger (public domain): 32 bits of state are enough to choose moments and orders.
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end: number) => Math.floor(next() * end);
  return {
    seed,
    below,
    percent: (share) => next() * 100 < share,
    shuffled: (items) => {
      const all = [...items];
      for (let at = all.length - 1; at > 0; at -= 1) {
        const other = below(at + 1);
        [all[at], all[other]] = [all[other] as (typeof all)[number], all[at] as (typeof all)[number]];
      }
      return all;
    },
  };
};

/** Waits until `look` answers something else than undefined or false; gives up after `withinMs` with what was waited for. */
export const until = async <Found>(
  what: string,
  look: () => Promise<Found | undefined | false>,
  withinMs = 60_000,
): Promise<Found> => {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endsAt) throw new Error(`${what} did not come within ${withinMs} ms`);
    await delay(50);
  }
};

/** One row of the table of faults: what was done, how often, and what it cost. */
export const reportFault = (row: {
  readonly fault: string;
  readonly runs: number;
  readonly events: number;
  readonly lost: number;
  readonly double: number;
  readonly note?: string;
}): void => {
  if (env.FAULTS_RESULTS !== undefined) appendFileSync(env.FAULTS_RESULTS, `${JSON.stringify(row)}\n`);
};
