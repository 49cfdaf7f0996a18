import { ApolloServer, HeaderMap } from '@apollo/server';
import { buildSchema } from 'graphql';
const schema = buildSchema('type Query { a: Int }');
const gateway = { onSchemaLoadOrUpdate: (l) => { l({ apiSchema: schema, coreSupergraphSdl: '' }); return () => undefined; }, load: async () => ({ executor: async () => ({ data: { a: 1 } }) }), stop: async () => undefined };
const server = new ApolloServer({ gateway, ...(process.env.OPT ? JSON.parse(process.env.OPT) : {}) });
await server.start();
const body = { query: '{ a }' };
const N = 60000;
for (let i = 0; i < N; i++) {
  const headers = new HeaderMap(); headers.set('content-type', 'application/json');
  if (process.env.MODE === 'op') await server.executeOperation(body); else await server.executeHTTPGraphQLRequest({ httpGraphQLRequest: { body, method: 'POST', headers, search: '' }, context: async () => ({}) });
  if (i % 10 === 0) await new Promise((r) => setImmediate(r));
}
