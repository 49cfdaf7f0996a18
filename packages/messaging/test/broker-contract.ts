import { openBench, type BrokerUnderTest } from './broker-contract/bench.js';
import { consumingContract } from './broker-contract/consuming.js';
import { groupContract } from './broker-contract/groups.js';
import { publishingContract } from './broker-contract/publishing.js';

/**
 * Defines the tests that every broker must pass; call it within a `describe` of the broker's test file. The
 * tests use topics and groups of their own, so that one broker serves all of them. `oneActiveMember` says
 * that the members of a group do not share the partitions.
 */
export const brokerContract = (
  setUp: () => Promise<BrokerUnderTest>,
  { oneActiveMember = false }: { readonly oneActiveMember?: boolean } = {},
): void => {
  const bench = openBench(setUp);
  publishingContract(bench);
  consumingContract(bench);
  groupContract(bench, { oneActiveMember });
};
