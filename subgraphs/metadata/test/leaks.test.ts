import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata, { mode: 'production' });
});
afterAll(() => subgraph.stop());

describe('a subgraph in production', () => {
  it.each<[string, string, Record<string, unknown>?]>([
    ['a field', '{ movie(id: "a") { titel } }'],
    ['an argument', '{ movie(id: "a", ib: "a") { title } }'],
    ['an enum value', '{ movies(sort: TITLE_AS) { nodes { title } } }'],
    ['a key of an input object', '{ movies(filter: { titel: "a" }) { nodes { title } } }'],
    ['the type of a variable', 'query ($s: MovieSor!) { movies(sort: $s) { nodes { title } } }'],
    [
      'an enum value of a variable',
      'query ($s: MovieSort!) { movies(sort: $s) { nodes { title } } }',
      { s: 'TITLE_AS' },
    ],
    [
      'a key of a variable',
      'query ($f: MovieFilter) { movies(filter: $f) { nodes { title } } }',
      { f: { titel: 'a' } },
    ],
  ])('%s that is misspelt gets no suggestion', async (_what, query, variables = {}) => {
    const { errors = [] } = await subgraph.ask(query, variables);

    expect(errors).toHaveLength(1);
    expect(errors[0]?.extensions?.['code']).toMatch(/^(GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT)$/);
    expect(errors[0]?.message).not.toMatch(/did you mean|"title"|TITLE_ASC/i);
  });

  it('a request that is not signed gets the security headers, and no name of the software', async () => {
    for (const path of ['/graphql', '/nowhere', '/health/ready']) {
      const { headers } = await fetch(`${subgraph.url}${path}`, { headers: { accept: 'text/html' } });
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('content-type')).toContain('json');
      expect([headers.get('x-powered-by'), headers.get('server')]).toEqual([null, null]);
    }
  });
});
