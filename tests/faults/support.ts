import { appendFileSync } from 'node:fs';
import { readFaultSettings } from '@cinegraph/testing/faults';
import { seededRandom, type SeededRandom } from '@cinegraph/testing/seed';

const env = readFaultSettings();

/** The short form runs with every change, the long one before a release: `npm run test:faults -- --long`. */
export const sized = <Size>({ short, long }: { short: Size; long: Size }): Size =>
  env.FAULTS === 'long' ? long : short;

/** The chance of a fault test: that of all tests, and shares of a hundred. */
export interface Chance extends SeededRandom {
  /** True in so many of a hundred. */
  percent(share: number): boolean;
}

/** Opens the chance of one test and prints its seed with the test's name. */
export const openChance = (name: string): Chance => {
  const random = seededRandom(name);
  return { ...random, percent: (share) => random.int(10_000) < share * 100 };
};

/** How long a fault test waits for a condition: servers are restarted meanwhile, on a machine that may be slow. */
export const faultTimeoutMs = 60_000;

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
