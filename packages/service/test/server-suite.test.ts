import { ApolloServer, type BaseContext } from '@apollo/server';
import { defineIntegrationTestSuite } from '@apollo/server-integration-testsuite';
import fastify from 'fastify';
import { graphqlHandler } from '../src/http/graphql.js';

// Apollo's suite for integrations of Apollo Server, on the handler that gateway and subgraphs have. Its
// version must be that of Apollo Server. It runs on Fastify alone, because the suite expects Fastify's errors
// and no `Cache-Control`; createHttpServer has both of its own.
defineIntegrationTestSuite(async (config, options = {}) => {
  const server = new ApolloServer<BaseContext>(config);
  await server.start();
  const app = fastify({ forceCloseConnections: true });
  const context = options.context ?? (async () => ({}));
  app.all('/', graphqlHandler(server, context));
  return { server, url: await app.listen({ host: '127.0.0.1', port: 0 }), extraCleanup: () => app.close() };
});
