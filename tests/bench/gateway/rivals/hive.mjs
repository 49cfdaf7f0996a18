// Hive Gateway for `npm run bench -- gateway`: its planner in JavaScript, embedded as its documentation says.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime';

const server = createServer(
  createGatewayRuntime({
    supergraph: readFileSync(process.env.SUPERGRAPH_PATH, 'utf8'),
    logging: 'error',
    landingPage: false,
    graphiql: false,
  }),
);
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/graphql` })}\n`);
});
