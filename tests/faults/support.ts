import { appendFileSync } from 'node:fs';
import { readFaultSettings } from '@cinegraph/testing/faults';
import { seededRandom, type SeededRandom } from '@cinegraph/testing/seed';

const env = readFaultSettings();

/** Returns `short`, or `long` in the form for releases: `npm run test:faults -- --long`. */
export const sized = <Size>({ short, long }: { short: Size; long: Size }): Size =>
  env.FAULTS === 'long' ? long : short;

/** The random generator of a fault test. */
export interface FaultRandom extends SeededRandom {
  /** Returns true with a probability of `share` percent. */
  percent(share: number): boolean;
}

/** Creates the random generator of one test, and prints its seed with the test's name. */
export const openRandom = (name: string): FaultRandom => {
  const random = seededRandom(name);
  return { ...random, percent: (share) => random.int(10_000) < share * 100 };
};

/** How long a fault test waits for a condition, while servers restart on a machine that may be slow. */
export const faultTimeoutMs = 60_000;

/** Writes one row of the table of faults: what was done, how often, and what it cost. */
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
