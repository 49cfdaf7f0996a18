import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApolloServer } from '@apollo/server';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { expect, it } from '@jest/globals';
import { buildSchema, type DocumentNode } from 'graphql';
import type { RequestContext } from '../src/request/context.js';
import { trustedOperations } from '../src/request/trusted-operations.js';

it('Apollo Server finds the documents of trusted operations ready, parsed and validated', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'prepared-'));
  const manifestPath = path.join(folder, 'operations.json');
  const operations = ['A', 'B'].map((name) => ({
    id: name,
    name,
    type: 'query',
    body: `query ${name} { hello }`,
  }));
  await writeFile(
    manifestPath,
    JSON.stringify({ format: 'apollo-persisted-query-manifest', version: 1, operations }),
  );
  const schema = buildSchema('type Query { hello: String }');
  const stored = new Map<string, DocumentNode>();
  const found: boolean[] = [];
  const documents = {
    get: async (key: string) => {
      found.push(stored.has(key));
      return stored.get(key);
    },
    set: async (key: string, document: DocumentNode) => void stored.set(key, document),
    delete: async (key: string) => stored.delete(key),
  };
  const server = new ApolloServer<RequestContext>({
    schema,
    documentStore: documents,
    stopOnTerminationSignals: false,
    plugins: [
      trustedOperations({
        settings: { mode: 'enforce', manifestPath },
        schemas: { get: () => ({ schema }), subscribe: () => () => undefined },
        documents,
        logger: silentLogger,
      }),
    ],
  });
  try {
    await server.start();
    await until(() => stored.size === 2);
    await server.executeOperation({ query: 'query A { hello }' });
    await server.executeOperation({ extensions: { persistedQuery: { version: 1, sha256Hash: 'B' } } });

    expect(found).toEqual([true, true]);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
