import Sequencer from '@jest/test-sequencer';

/** The files that take longest, in that order: a minute or more each on two cores. */
const longest = [
  'tests/flows/compose-smoke.test.ts',
  'tests/security/corpus.test.ts',
  'tests/faults/ingest.test.ts',
  'tests/faults/outbox.test.ts',
  'packages/messaging/test/broker-kafka.test.ts',
  'packages/messaging/test/broker-kafka-faults.test.ts',
  'tests/faults/store.test.ts',
  'tests/flows/start.test.ts',
  'tests/faults/ingest-messages.test.ts',
  'packages/local/test/embedded-postgres.test.ts',
  'tests/flows/alone.test.ts',
];

/**
 * Orders the test files for Jest, which by itself starts with those that failed or took longest in the last
 * run. In a fresh clone there is no last run, and Jest would order by the size of files: the longest test, a
 * small file, would then run alone at the end.
 */
class LongestFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (sorted.some(({ duration }) => duration !== undefined)) return sorted;
    const rank = ({ path }) => {
      const at = longest.findIndex((file) => path.endsWith(file));
      return at < 0 ? longest.length : at;
    };
    return sorted.sort((one, other) => rank(one) - rank(other));
  }
}

export { LongestFirst as default };
