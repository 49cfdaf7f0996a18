import { describe, expect, it } from '@jest/globals';
import { readConfig, subgraphUrlVariable } from './config.js';

const needed = { SUPERGRAPH_PATH: 'supergraph.graphql' };

describe('the environment', () => {
  it('needs nothing but the supergraph file, and then means production', () => {
    expect(readConfig(needed)).toMatchObject({
      environment: 'production',
      port: 4000,
      host: '127.0.0.1',
      deadlineMs: 10_000,
      forwardHeaders: [],
      corsOrigins: [],
      subgraphKey: undefined,
    });
  });

  it('is refused with every problem at once', () => {
    expect(() =>
      readConfig({
        PORT: 'x',
        DEADLINE_MS: '0',
        SUBGRAPH_URL_A: 'ftp://a',
        SUBGRAPH_KEY: 'short',
        CORS_ORIGINS: '*',
      }),
    ).toThrow(/SUBGRAPH_URL_A[^]*PORT[^]*SUBGRAPH_KEY[^]*DEADLINE_MS[^]*CORS_ORIGINS/);
  });

  it.each([
    'x-viewer-id',
    'X-Cinegraph-Identity',
    'x-deadline-ms',
    'host',
    'content-length',
    'Transfer-Encoding',
  ])('cannot have the gateway hand on %s', (name) => {
    expect(() => readConfig({ ...needed, FORWARD_HEADERS: `accept-language, ${name}` })).toThrow(
      'FORWARD_HEADERS',
    );
  });

  it('lists headers and origins with commas between, in any case', () => {
    const { forwardHeaders, corsOrigins } = readConfig({
      ...needed,
      FORWARD_HEADERS: 'Authorization , X-Tenant,',
      CORS_ORIGINS: 'https://example.org,http://localhost:8080',
    });

    expect(forwardHeaders).toEqual(['authorization', 'x-tenant']);
    expect(corsOrigins).toEqual(['https://example.org', 'http://localhost:8080']);
  });

  it('names a subgraph in upper case with _ for all but letters and digits', () => {
    expect(subgraphUrlVariable('user-reviews.v2')).toBe('SUBGRAPH_URL_USER_REVIEWS_V2');
  });

  it('overrides URLs by subgraph, an empty one is unset', () => {
    const { subgraphUrls } = readConfig({
      ...needed,
      SUBGRAPH_URL_A: 'http://a:1/graphql',
      SUBGRAPH_URL_B: '',
    });

    expect([...subgraphUrls]).toEqual([['SUBGRAPH_URL_A', 'http://a:1/graphql']]);
  });
});
