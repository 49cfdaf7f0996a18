import { describe, expect, it } from '@jest/globals';
import { readConfig, subgraphUrlVariable } from './config.js';

const needed = { SUPERGRAPH_PATH: 'supergraph.graphql' };

describe('the environment', () => {
  it('an empty environment means production', () => {
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

  it('an invalid environment is refused with every problem at once', () => {
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
  ])('FORWARD_HEADERS may not list %s', (name) => {
    expect(() => readConfig({ ...needed, FORWARD_HEADERS: `accept-language, ${name}` })).toThrow(
      'FORWARD_HEADERS',
    );
  });

  it.each(['set-cookie', 'Cache-Control', 'vary', 'content-length', 'access-control-allow-origin'])(
    'RETURN_HEADERS may not list %s',
    (name) => {
      expect(() => readConfig({ ...needed, RETURN_HEADERS: `x-cost, ${name}` })).toThrow('RETURN_HEADERS');
    },
  );

  it('headers and origins are lists with commas, in any case', () => {
    const { forwardHeaders, corsOrigins } = readConfig({
      ...needed,
      FORWARD_HEADERS: 'Authorization , X-Tenant,',
      CORS_ORIGINS: 'https://example.org,http://localhost:8080',
    });

    expect(forwardHeaders).toEqual(['authorization', 'x-tenant']);
    expect(corsOrigins).toEqual(['https://example.org', 'http://localhost:8080']);
  });

  it("a subgraph's variable has its name in upper case with _ for all but letters and digits", () => {
    expect(subgraphUrlVariable('user-reviews.v2')).toBe('SUBGRAPH_URL_USER_REVIEWS_V2');
  });

  it('SUBGRAPH_URL_<NAME> overrides a URL, and an empty value is unset', () => {
    const { subgraphUrls } = readConfig({
      ...needed,
      SUBGRAPH_URL_A: 'http://a:1/graphql',
      SUBGRAPH_URL_B: '',
    });

    expect([...subgraphUrls]).toEqual([['SUBGRAPH_URL_A', 'http://a:1/graphql']]);
  });

  it.each([
    [{}, true, true],
    [{ COALESCE: 'false' }, false, false],
    [{ COALESCE_USER_REVIEWS: 'false' }, false, true],
    [{ COALESCE: 'false', COALESCE_USER_REVIEWS: 'true' }, true, false],
  ])('the variables %j decide whether user-reviews and others share requests', (env, reviews, others) => {
    const { coalesces } = readConfig({ ...needed, ...env });

    expect([coalesces('user-reviews'), coalesces('others')]).toEqual([reviews, others]);
  });

  it('budgets have a minute as their burst, and are a hundred times as large outside production', () => {
    expect(readConfig(needed).budgets).toEqual({
      cost: { perMinute: 2_000_000, burst: 2_000_000 },
      fields: {},
    });
    expect(readConfig({ ...needed, NODE_ENV: 'test' }).budgets.cost?.perMinute).toBe(200_000_000);
    expect(readConfig({ ...needed, BUDGET_COST_PER_MINUTE: '0' }).budgets.cost).toBeUndefined();
    expect(
      readConfig({
        ...needed,
        BUDGET_COST_PER_MINUTE: '600',
        BUDGET_COST_BURST: '50',
        BUDGET_FIELDS: 'Mutation.login=10, Query.search=3',
      }).budgets,
    ).toEqual({
      cost: { perMinute: 600, burst: 50 },
      fields: { 'Mutation.login': 10, 'Query.search': 3 },
    });
  });

  it.each([
    ['BUDGET_COST_PER_MINUTE', '-1'],
    ['BUDGET_COST_BURST', '0'],
    ['BUDGET_FIELDS', 'login=10'],
    ['BUDGET_FIELDS', 'Mutation.login=0'],
    ['TRUSTED_PROXIES', 'true'],
    ['TRUSTED_PROXIES', '33'],
    ['REDIS_URL', 'http://127.0.0.1:6379'],
    ['REDIS_URL', '127.0.0.1:6379'],
  ])('%s may not be %s', (name, value) => {
    expect(() => readConfig({ ...needed, [name]: value })).toThrow(name);
  });
});
