/*
 * What a gateway could cost at least: `handwritten` knows the one narrow query, `apollo` is Apollo Server
 * with a constant executor, `fastify` sends constant bytes. The arguments name the subgraphs movies, ratings.
 */
import { createServer } from 'node:http';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import fastify from 'fastify';
import { Pool } from 'undici';

const [, , kind, ...subgraphs] = process.argv;
const answer = JSON.stringify({
  data: {
    movies: Array.from({ length: 10 }, (_, n) => ({
      id: `m${n}`,
      title: `The movie number ${n}`,
      rating: { average: 7.25, count: 1_234 },
    })),
  },
});

const listen = async (server) => {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}/graphql`;
};

const kinds = {
  handwritten: async () => {
    const [movies, ratings] = subgraphs.map((url) => new Pool(new URL(url).origin, { connections: 256 }));
    const ask = async (pool, body) => {
      const response = await pool.request({
        method: 'POST',
        path: '/graphql',
        headers: { 'content-type': 'application/json' },
        body,
      });
      return JSON.parse(await response.body.text()).data;
    };
    const moviesBody = JSON.stringify({ query: '{movies(first:10){__typename id title}}' });
    const ratingsQuery = JSON.stringify(
      'query($representations:[_Any!]!){_entities(representations:$representations){...on Movie{rating{average count}}}}',
    );
    return listen(
      createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', async () => {
          JSON.parse(Buffer.concat(parts).toString());
          const data = await ask(movies, moviesBody);
          const representations = data.movies.map(({ id }) => ({ __typename: 'Movie', id }));
          const { _entities: entities } = await ask(
            ratings,
            `{"query":${ratingsQuery},"variables":{"representations":${JSON.stringify(representations)}}}`,
          );
          const nodes = data.movies.map(({ id, title }, n) => ({ id, title, rating: entities[n].rating }));
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify({ data: { movies: nodes } }));
        });
      }),
    );
  },
  fastify: async () => {
    const app = fastify();
    app.post('/graphql', async (_request, reply) => {
      reply.header('content-type', 'application/json');
      return answer;
    });
    return `${await app.listen({ port: 0, host: '127.0.0.1' })}/graphql`;
  },
  apollo: async () => {
    const { buildSchema } = await import('graphql');
    const schema = buildSchema(
      'type Query { movies(first: Int): [Movie!]! } type Movie { id: ID! title: String! rating: Rating } type Rating { average: Float count: Int! }',
    );
    const { data } = JSON.parse(answer);
    const gateway = {
      onSchemaLoadOrUpdate: (listener) => {
        listener({ apiSchema: schema, coreSupergraphSdl: '' });
        return () => undefined;
      },
      load: async () => ({ executor: async () => ({ data }) }),
      stop: async () => undefined,
    };
    const { url } = await startStandaloneServer(new ApolloServer({ gateway }), {
      listen: { port: 0, host: '127.0.0.1' },
    });
    return url;
  },
};
process.stdout.write(`${JSON.stringify({ url: await kinds[kind]() })}\n`);
