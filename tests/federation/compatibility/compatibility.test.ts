import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readConfig } from '@cinegraph/gateway/config';
import { startGateway } from '@cinegraph/gateway/server';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { composeSubgraphs } from '../support/supergraph.js';
import { productsSubgraph } from './products.js';
import { runSuite, startBundledSubgraph, unpackSuite } from './suite.js';

const suite = await unpackSuite();

const answers = (url: string): Promise<boolean> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{ __typename }"}',
  }).then(
    ({ ok }) => ok,
    () => false,
  );

// Without the package there is nothing to run.
const withSuite = suite === undefined ? describe.skip : describe;

withSuite("Apollo's compatibility tests of subgraphs", () => {
  it('all 23 pass on a subgraph of our packages, through our gateway', async () => {
    if (suite === undefined) throw new Error('the suite is missing');
    const folder = await mkdtemp(join(tmpdir(), 'compatibility-'));
    const products = await startTestSubgraph(productsSubgraph(suite));
    const users = await startBundledSubgraph(suite, 'users', '4002');
    const inventory = await startBundledSubgraph(suite, 'inventory', '4003');
    const productsUrl = `${products.url}/graphql`;
    const { supergraph } = composeSubgraphs([
      {
        name: 'products',
        url: productsUrl,
        typeDefs: await readFile(join(suite, 'products.graphql'), 'utf8'),
      },
      { name: 'users', url: users.url, typeDefs: users.sdl },
      { name: 'inventory', url: inventory.url, typeDefs: inventory.sdl },
    ]);
    const path = join(folder, 'supergraph.graphql');
    await writeFile(path, supergraph);
    const gateway = await startGateway(
      readConfig({ NODE_ENV: 'test', PORT: '0', SUPERGRAPH_PATH: path }),
      silentLogger,
    );
    try {
      for (const { url } of [users, inventory]) await until(() => answers(url), `${url} answers`);
      const { passed, failed } = await runSuite(suite, {
        products: productsUrl,
        supergraph: `${gateway.url}/graphql`,
      });
      expect(failed).toEqual([]);
      expect(passed).toBe(23);
    } finally {
      await gateway.stop();
      await Promise.all([products.stop(), users.stop(), inventory.stop()]);
      await rm(folder, { recursive: true, force: true });
    }
  });
});
