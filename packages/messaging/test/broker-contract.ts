import { openBench, type BrokerUnderTest } from './broker-contract/bench.js';
import { consumingContract } from './broker-contract/consuming.js';
import { publishingContract } from './broker-contract/publishing.js';

/**
 * What every broker keeps, as tests: call it within a `describe` of the file that knows how one is set up. The tests take topics
 * and groups of their own, so one broker serves them all.
 */
export const brokerContract = (setUp: () => Promise<BrokerUnderTest>): void => {
  const bench = openBench(setUp);
  publishingContract(bench);
  consumingContract(bench);
};
