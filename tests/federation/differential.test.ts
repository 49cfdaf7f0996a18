import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startCompared, type Compared } from './support/differential.js';
import { everyDirective, everyDirectiveRules } from './support/every-directive.js';
import { interfaceObjectRules, interfaceObjects } from './support/interface-objects.js';

/** How many operations are compared on each supergraph. A longer run finds more. */
const count = Number(process.env['TEST_OPERATIONS'] ?? 500);

const schemaOf = (subgraph: string): string =>
  readFileSync(join(import.meta.dirname, '../../subgraphs', subgraph, 'schema.graphql'), 'utf8');

describe.each([
  ['a supergraph with every directive of federation', everyDirective, everyDirectiveRules],
  ['a supergraph whose interface objects require fields', interfaceObjects, interfaceObjectRules],
  [
    'the movie graph',
    { metadata: schemaOf('metadata'), rating: schemaOf('rating'), users: schemaOf('users') },
    {},
  ],
] as const)('%s', (name, sdls, rules) => {
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
