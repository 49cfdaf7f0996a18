import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { seededRandom } from '@cinegraph/testing/seed';
import { Kind, print } from 'graphql';
import { firstLoss, withDefers } from './support/deferred.js';
import { comparedGraphs, editor, startWorld, usualSeed } from './support/differential.js';
import { generateOperation } from './support/generator.js';
import { formats, merged, stream } from './support/parts.js';
import type { Supergraph } from './support/supergraph.js';

/** How many operations are compared on each supergraph. A longer run finds more. */
const count = Number(process.env['TEST_OPERATIONS'] ?? 100);

describe.each(comparedGraphs)('@defer on %s', (name, sdls, rules) => {
  let supergraph: Supergraph;
  beforeAll(async () => {
    ({ supergraph } = await startWorld(sdls, rules));
  });
  afterAll(() => supergraph.stop());

  it('brings together what generated operations return without it', async () => {
    const random = seededRandom(`@defer on ${name}`, usualSeed);
    const differences: string[] = [];
    let compared = 0;
    let inParts = 0;
    while (compared < count && differences.length < 3) {
      const { document, variables } = generateOperation(supergraph.schema, random);
      const isQuery = document.definitions.some(
        (definition) => definition.kind === Kind.OPERATION_DEFINITION && definition.operation === 'query',
      );
      if (!isQuery) continue;
      const plain = await supergraph.ask(print(document), variables);
      if (plain.status !== 200) continue;
      const query = print(withDefers(document, random));
      const response = await stream(supergraph.url, query, {
        ...{ format: random.pick(formats), variables, headers: editor },
      });
      const payloads = await response.rest();
      const { data, errors } = merged(payloads);
      compared += 1;
      if (payloads.length > 1) inParts += 1;
      const hasErrors = plain.errors !== undefined;
      const difference = firstLoss(plain.data, data) ?? (hasErrors ? undefined : firstLoss(data, plain.data));
      if (difference === undefined && errors.length > 0 === hasErrors) continue;
      differences.push(
        [difference, query, JSON.stringify(variables), JSON.stringify(payloads), plain.text].join('\n'),
      );
    }
    expect(differences.join('\n\n')).toBe('');
    expect(inParts).toBeGreaterThan(count * 0.4);
  }, 180_000);
});
