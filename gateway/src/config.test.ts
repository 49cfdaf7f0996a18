import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { readConfig } from './config.js';

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

  it.each(['X-Cinegraph-Identity', 'x-deadline-ms', 'host', 'content-length', 'Transfer-Encoding'])(
    'FORWARD_HEADERS may not list %s',
    (name) => {
      expect(() => readConfig({ ...needed, FORWARD_HEADERS: `accept-language, ${name}` })).toThrow(
        'FORWARD_HEADERS',
      );
    },
  );

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

  it('FORWARD_HEADERS_<NAME> replaces FORWARD_HEADERS for one subgraph, also by no header at all', () => {
    const { forwardHeaders, forwardHeadersOf } = readConfig({
      ...needed,
      FORWARD_HEADERS: 'x-tenant',
      FORWARD_HEADERS_USER_REVIEWS: 'X-User, x-tenant',
      FORWARD_HEADERS_PUBLIC: '',
    });

    expect(forwardHeaders).toEqual(['x-tenant', 'x-user']);
    expect(['user-reviews', 'public', 'others'].map(forwardHeadersOf)).toEqual([
      ['x-user', 'x-tenant'],
      [],
      ['x-tenant'],
    ]);
    expect(() => readConfig({ ...needed, FORWARD_HEADERS_PUBLIC: 'host' })).toThrow('FORWARD_HEADERS_PUBLIC');
  });

  it('CLIENT_FIELDS lists fields like Query.me', () => {
    expect(readConfig(needed).clientFields).toEqual([]);
    expect(readConfig({ ...needed, CLIENT_FIELDS: 'Query.me, User._x' }).clientFields).toEqual([
      'Query.me',
      'User._x',
    ]);
    expect(() => readConfig({ ...needed, CLIENT_FIELDS: 'me' })).toThrow('CLIENT_FIELDS');
  });

  it('SUBGRAPH_URL_<NAME> overrides a URL, and an empty value is unset', () => {
    const { urlOf } = readConfig({
      ...needed,
      SUBGRAPH_URL_USER_REVIEWS_V2: 'http://a:1/graphql',
      SUBGRAPH_URL_B: '',
    });

    expect(['user-reviews.v2', 'b', 'c'].map(urlOf)).toEqual(['http://a:1/graphql', undefined, undefined]);
  });

  it('variables that are set for no subgraph are found', () => {
    const { variablesOfOthers } = readConfig({
      ...needed,
      SUBGRAPH_URL_A: 'http://a:1/graphql',
      SUBGRAPH_URL_OLD: 'http://a:1/graphql',
      SUBGRAPH_URL_UNSET: '',
      FORWARD_HEADERS_B: 'authorization',
      FORWARD_HEADERS_BB: '',
      COALESCE_A: 'false',
      COALESCE_ALL: 'false',
    });

    expect(variablesOfOthers(['a', 'b'])).toEqual(['SUBGRAPH_URL_OLD', 'FORWARD_HEADERS_BB', 'COALESCE_ALL']);
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

  it('a manifest is needed to log or enforce trusted operations, and is not read otherwise', () => {
    const OPERATIONS_MANIFEST = 'operations.json';

    expect(readConfig({ OPERATIONS_MANIFEST }).trustedOperations).toBeUndefined();
    expect(readConfig({ OPERATIONS_MANIFEST, TRUSTED_OPERATIONS: 'log' }).trustedOperations).toEqual({
      mode: 'log',
      manifestPath: OPERATIONS_MANIFEST,
    });
    expect(() => readConfig({ TRUSTED_OPERATIONS: 'enforce' })).toThrow(/OPERATIONS_MANIFEST: is not set/);
  });
});

describe('JWT_ISSUERS', () => {
  const key = { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: '1' };
  const read = (issuers: unknown, NODE_ENV = 'production') =>
    readConfig({ ...needed, NODE_ENV, JWT_ISSUERS: JSON.stringify(issuers) }).jwtIssuers;
  const withKeys = { issuer: 'a', audience: 'graph', jwks: { keys: [key] } };
  const other = {
    ...{ issuer: 'b', audience: ['c', 'd'], jwksUrl: 'https://b.example/k' },
    ...{ typ: 'at+jwt', viewerPrefix: 'b:' },
  };
  const at = (jwksUrl: string) => [{ issuer: 'a', audience: 'graph', jwksUrl }];

  it('JWT_ISSUERS lists issuers, each with one or several audiences; nobody is trusted without it', () => {
    expect(readConfig(needed).jwtIssuers).toEqual([]);
    expect(read([withKeys, other])).toEqual([{ ...withKeys, audience: ['graph'] }, other]);
  });

  it.each([
    ['no array', withKeys, 'JWT_ISSUERS: must be a JSON array of issuers'],
    ['an unknown property', [{ ...withKeys, leeway: 900 }], '[0] Unrecognized key: "leeway"'],
    ['no issuer', [{ audience: 'b', jwksUrl: 'https://a' }], '[0].issuer must be a text'],
    ['no audience', [{ ...withKeys, audience: [] }], '[0].audience must not be empty'],
    ['no keys', [{ issuer: 'a', audience: 'b' }], '[0] must have either jwksUrl or jwks'],
    ['an empty list of keys', [{ ...withKeys, jwks: { keys: [] } }], '[0].jwks.keys'],
    ['two sources of keys', [{ ...withKeys, jwksUrl: 'https://a' }], 'must have either jwksUrl or jwks'],
    ['a secret key', [{ ...withKeys, jwks: { keys: [{ kty: 'oct', k: 'x' }] } }], 'must be OKP, EC or RSA'],
    ['a private key', [{ ...withKeys, jwks: { keys: [{ ...key, d: 'secret' }] } }], 'is a private key'],
    [
      'a broken key',
      [{ ...withKeys, jwks: { keys: [{ ...key, x: 'x' }] } }],
      'no public key that can be used',
    ],
    ['a file', at('file:///etc/keys'), '[0].jwksUrl must be an http or https URL without a password'],
    ['a URL with a password', at('https://u:p@a.example'), 'without a password'],
    ['an issuer twice', [withKeys, withKeys], 'names an issuer twice'],
    ['viewers that two name', [withKeys, { ...withKeys, issuer: 'b' }], 'give all but one a viewerPrefix'],
    ['an open prefix', [{ ...withKeys, viewerPrefix: 'b' }], '[0].viewerPrefix must be'],
    ['an unknown type', [{ ...withKeys, typ: 'jwt' }], '[0].typ'],
  ])('JWT_ISSUERS with %s is refused with its position', (_what, issuers, problem) => {
    expect(() => read(issuers)).toThrow(problem);
  });

  it('JWT_ISSUERS that is no JSON is refused, without its content', () => {
    expect(() => readConfig({ ...needed, JWT_ISSUERS: '[{secret' })).toThrow(/JWT_ISSUERS: (?!.*secret)/);
  });

  it.each(['http://a.example/k', 'http://10.0.0.1/k', 'http://[fd00::1]/k', 'http://localhost.example/k'])(
    'in production the address %s must be https',
    (jwksUrl) => {
      expect(() => read(at(jwksUrl))).toThrow('must be an https URL');
      expect(read(at(jwksUrl), 'development')).toHaveLength(1);
    },
  );

  it.each(['https://a.example/k', 'http://127.0.0.1:4003/k', 'http://[::1]/k', 'http://users:4003/k'])(
    'in production the address %s is accepted',
    (jwksUrl) => expect(read(at(jwksUrl))).toHaveLength(1),
  );

  it('DEMO_LOGIN is a login and a password', () => {
    expect(readConfig({ ...needed, DEMO_LOGIN: 'demo:a:b' }).demoLogin).toBe('demo:a:b');
    expect(() => readConfig({ ...needed, DEMO_LOGIN: 'demo:' })).toThrow('DEMO_LOGIN');
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
