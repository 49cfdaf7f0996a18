import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { comparedGraphs, startCompared, type Compared } from './support/differential.js';
import { interfaceObjectRules, interfaceObjects } from './support/interface-objects.js';

/** How many operations are compared on each supergraph. A longer run finds more. */
const count = Number(process.env['TEST_OPERATIONS'] ?? 500);

describe.each([
  ...comparedGraphs,
  ['a supergraph whose interface objects require fields', interfaceObjects, interfaceObjectRules] as const,
])('%s', (name, sdls, rules) => {
  let compared: Compared;
  beforeAll(async () => {
    compared = await startCompared(name, sdls, rules);
  });
  afterAll(() => compared.stop());

  it('answers generated operations as one schema over the same data does, with errors at the same paths', async () => {
    const result = await compared.run(count);
    expect(result.differences.join('\n\n')).toBe('');
    expect(result.compared).toBeGreaterThan(count * 0.95);
    expect(result.withErrors).toBeGreaterThan(count * 0.05);
  });
});
