import Sequencer from '@jest/test-sequencer';

/** The files that take longest, the longest first: a minute or more each on two cores. */
const longest = [
  'tests/flows/compose-smoke.test.ts',
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
 * Jest begins with what took longest, or failed, the last time. In a fresh clone it knows of no last time and
 * goes by the size of files, so that the longest, which is a small one, would run alone at the end.
 */
class LongestFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (sorted.some(({ duration }) => duration !== undefined)) return sorted;
    const place = ({ path }) => {
      const at = longest.findIndex((file) => path.endsWith(file));
      return at < 0 ? longest.length : at;
    };
    return sorted.sort((one, other) => place(one) - place(other));
  }
}

export { LongestFirst as default };
