/*
 * The subgraphs of `npm run bench -- gateway`: a movie list with ratings, and the store of the public gateway
 * benchmark. Each request that was seen before is answered with the same bytes, so that a request costs the
 * subgraphs always the same. Prints the supergraph as JSON: { narrow, wide }. On SIGUSR2 it prints the number
 * of requests.
 */
import { createServer } from 'node:http';
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphql, parse } from 'graphql';

const federation = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@external", "@requires"])\n`;
const range = (length, of) => Array.from({ length }, (_, index) => of(index));

const movies = range(10, (n) => ({ id: `m${n}`, title: `The movie number ${n}`, year: 1990 + n }));
const users = range(6, (n) => ({
  id: `u${n}`,
  name: `User number ${n}`,
  username: `user${n}`,
  birthday: 1_000 + n,
}));
const products = range(9, (n) => ({
  upc: `${n + 1}`,
  name: `Product number ${n}`,
  price: 100 * n + 54,
  weight: 50 * n + 100,
}));
const reviews = range(28, (n) => ({
  id: `r${n}`,
  body: `The review number ${n} says in some words what its author thinks of the product.`,
  product: { __typename: 'Product', upc: `${(n % 9) + 1}` },
  author: { __typename: 'User', id: `u${n % 6}` },
}));

const graphs = {
  narrow: {
    movies: {
      sdl: 'type Query { movies(first: Int): [Movie!]! } type Movie @key(fields: "id") { id: ID! title: String! year: Int }',
      resolvers: { Query: { movies: () => movies } },
    },
    ratings: {
      sdl: 'type Movie @key(fields: "id") { id: ID! rating: Rating } type Rating { average: Float count: Int! }',
      resolvers: {
        Movie: { __resolveReference: ({ id }) => ({ id, rating: { average: 7.25, count: 1_234 } }) },
      },
    },
  },
  wide: {
    accounts: {
      sdl: 'type Query { me: User users: [User] } type User @key(fields: "id") { id: ID! name: String username: String birthday: Int }',
      resolvers: {
        Query: { me: () => users[0], users: () => users },
        User: { __resolveReference: ({ id }) => users.find((user) => user.id === id) },
      },
    },
    inventory: {
      sdl: 'type Product @key(fields: "upc") { upc: String! weight: Int @external price: Int @external inStock: Boolean shippingEstimate: Int @requires(fields: "price weight") }',
      resolvers: {
        Product: {
          __resolveReference: (reference) => ({ ...reference, inStock: Number(reference.upc) % 2 === 0 }),
          shippingEstimate: ({ price, weight }) => (price > 1_000 ? 0 : Math.round(weight * 0.5)),
        },
      },
    },
    products: {
      sdl: 'type Query { topProducts(first: Int): [Product] } type Product @key(fields: "upc") { upc: String! name: String price: Int weight: Int }',
      resolvers: {
        Query: { topProducts: (_root, { first = 5 }) => products.slice(0, first) },
        Product: { __resolveReference: ({ upc }) => products.find((product) => product.upc === upc) },
      },
    },
    reviews: {
      sdl: `type Review @key(fields: "id") { id: ID! body: String author: User product: Product }
        type User @key(fields: "id") { id: ID! numberOfReviews: Int reviews: [Review] }
        type Product @key(fields: "upc") { upc: String! reviews: [Review] }`,
      resolvers: {
        User: { reviews: ({ id }) => reviews.filter(({ author }) => author.id === id) },
        Product: { reviews: ({ upc }) => reviews.filter(({ product }) => product.upc === upc) },
      },
    },
  },
};

let requests = 0;
/** The parts that are cached before the oldest are dropped: coalesced requests can have any combination. */
const maxResponses = 20_000;

const serve = async ({ sdl, resolvers }) => {
  const schema = buildSubgraphSchema({ typeDefs: parse(federation + sdl), resolvers });
  const responses = new Map();
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', async () => {
      requests += 1;
      const text = Buffer.concat(parts).toString();
      let bytes = responses.get(text);
      if (!bytes) {
        const { query, variables, operationName } = JSON.parse(text);
        const result = await graphql({ schema, source: query, variableValues: variables, operationName });
        if (result.errors) process.stderr.write(`${JSON.stringify(result.errors)}\n${text}\n`);
        bytes = Buffer.from(JSON.stringify(result));
        if (responses.size >= maxResponses) responses.clear();
        responses.set(text, bytes);
      }
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length });
      response.end(bytes);
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}/graphql`;
};

const supergraphs = {};
for (const [graph, subgraphs] of Object.entries(graphs)) {
  const services = [];
  for (const [name, subgraph] of Object.entries(subgraphs)) {
    services.push({ name, url: await serve(subgraph), typeDefs: parse(federation + subgraph.sdl) });
  }
  const { errors, supergraphSdl } = composeServices(services);
  if (errors) throw new Error(errors.join('\n'));
  supergraphs[graph] = supergraphSdl;
}
process.on('SIGUSR2', () => process.stdout.write(`${JSON.stringify({ requests })}\n`));
process.stdout.write(`${JSON.stringify(supergraphs)}\n`);
