import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { bearerOf } from '@cinegraph/testing/tokens';
import { know } from '../support/known-movies.js';
import { startTestGraph, type TestGraph } from '../support/graph.js';

let graph: TestGraph;
beforeAll(async () => {
  graph = await startTestGraph();
  await graph.subgraphs.metadata.pool.query(
    `INSERT INTO movie (id, title, version, created_at, updated_at) VALUES ('kept', 'Kept', 1, now(), now())`,
  );
  await know(graph.subgraphs.rating.pool, ['kept']);
  await graph.ask(
    'mutation { submitRating(movieId: "kept", score: 9) { rating { score } } }',
    {},
    bearerOf('ann'),
  );
});
afterAll(() => graph.stop());

const get = (query: string, headers: Record<string, string> = {}) =>
  fetch(`${graph.url}/graphql?query=${encodeURIComponent(query)}`, {
    headers: { 'apollo-require-preflight': 'yes', ...headers },
  });

describe('caching of a response of the gateway', () => {
  it.each([
    ['a movie', '{ movie(id: "kept") { id title genres { name } cast { character person { name } } } }', 60],
    ['a movie that is not there', '{ movie(id: "unknown") { title } }', 60],
    [
      'a page of movies',
      '{ movies { edges { cursor node { title externalIds { value } } } pageInfo { endCursor } totalCount } }',
      60,
    ],
    ['a person', `{ person(id: "p") { name filmography { nodes { movie { title } } } } }`, 60],
    ['the genres', '{ genres { name movieCount } }', 300],
    [
      'a movie with its aggregated rating',
      '{ movie(id: "kept") { title aggregatedRating { average histogram { score count } } } }',
      5,
    ],
    ['a movie with its ratings', '{ movie(id: "kept") { ratings { nodes { score movie { title } } } } }', 5],
    ['the movies rated best', '{ topRated { nodes { title aggregatedRating { average } } } }', 5],
  ])('a response about %s may be stored by every cache', async (_what, query, seconds) => {
    const answer = await get(query);

    expect(await answer.json()).not.toHaveProperty('errors');
    expect(answer.headers.get('cache-control')).toBe(`max-age=${seconds}, public`);
    const again = await get(query, { 'if-none-match': String(answer.headers.get('etag')) });
    expect(again.status).toBe(304);
  });

  it.each([
    ['of one', '{ movie(id: "kept") { title myRating { score } } }'],
    ['of all', '{ myRatings { nodes { score } } }'],
  ])(
    "a response with the viewer's ratings %s is stored by no cache, not even the refusal",
    async (_what, query) => {
      for (const viewer of [bearerOf('ann'), {}]) {
        const answer = await get(query, viewer);
        expect(answer.headers.get('cache-control')).toBe('private, no-store');
        expect(answer.headers.get('etag')).toBeNull();
      }
    },
  );

  it('a response to a request with a viewer is stored by no cache, whatever it contains', async () => {
    const answer = await get('{ genres { name } }', bearerOf('ann'));

    expect(answer.headers.get('cache-control')).toBe('private, no-store');
  });

  it('the directives of cache hints are not visible to clients', async () => {
    const { data } = await graph.ask(
      '{ __schema { directives { name } } __type(name: "CacheControlScope") { name } }',
    );

    expect(data).toHaveProperty('__type', null);
    expect(JSON.stringify(data)).not.toContain('cacheControl');
  });
});

describe('caching of a response of a subgraph', () => {
  const ask = async (name: 'metadata' | 'rating', query: string) => {
    const sign = createIdentitySigner(testSubgraphKey, name, systemClock);
    const identity = sign({ id: 'editor', scopes: ['catalogue:write'] });
    const response = await fetch(`${graph.subgraphs[name].url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', [identityHeader]: identity },
      body: JSON.stringify({ query }),
    });
    return response.headers.get('cache-control');
  };
  const entities = (selection: string) =>
    `{ _entities(representations: [{ __typename: "Movie", id: "kept" }]) { ... on Movie { ${selection} } } }`;

  it('a response has its cache hint, also one with references', async () => {
    expect(await ask('metadata', '{ genres { name } }')).toBe('max-age=300, public');
    expect(await ask('metadata', entities('title'))).toBe('max-age=60, public');
    expect(await ask('rating', entities('aggregatedRating { count }'))).toBe('max-age=5, public');
    expect(await ask('rating', entities('myRating { score }'))).toBe('private, no-store');
  });

  it('a response to a mutation, or without a hint, is stored by no cache', async () => {
    expect(await ask('metadata', 'mutation { createMovie(input: { title: "New" }) { movie { id } } }')).toBe(
      'private, no-store',
    );
    expect(await ask('metadata', '{ __typename }')).toBe('no-store');
  });
});
