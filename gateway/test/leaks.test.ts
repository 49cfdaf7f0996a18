import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { answers, startStubSubgraph, type StubSubgraph } from './support/stub-subgraph.js';
import { askAt, compose, createTestLog } from './support/world.js';

const typeDefs = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
  enum Colour { CRIMSON SCARLET }
  input Paint { colour: Colour, layers: [Paint!] }
  type Wall @key(fields: "id") { id: ID! colour: Colour }
  type Query { paint(colour: Colour, paint: Paint): Wall walls: [Wall] }`;

let stub: StubSubgraph;
let folder: string;
let gateway: Awaited<ReturnType<typeof startGateway>>;

const startIn = async (mode: string): Promise<typeof gateway> =>
  startGateway(
    readConfig({
      NODE_ENV: mode,
      PORT: '0',
      SUPERGRAPH_PATH: path.join(folder, 'supergraph.graphql'),
      CORS_ORIGINS: 'https://app.example',
    }),
    createTestLog().logger,
  );

beforeAll(async () => {
  stub = await startStubSubgraph({ name: 'walls', typeDefs, resolvers: { Query: { walls: () => [] } } });
  folder = await mkdtemp(path.join(tmpdir(), 'leaks-'));
  await writeFile(path.join(folder, 'supergraph.graphql'), compose([stub]));
  gateway = await startIn('production');
});
afterAll(async () => {
  await gateway.stop();
  await stub.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('names of the schema in production', () => {
  it.each<[string, string, Record<string, unknown>?]>([
    ['a field', '{ wall { id } }'],
    ['a field of an entity', '{ walls { ido } }'],
    ['an argument', '{ paint(color: CRIMSON) { id } }'],
    ['an enum value', '{ paint(colour: CRIMSO) { id } }'],
    ['an enum value that is written as a text', '{ paint(colour: "CRIMSO") { id } }'],
    ['an enum value in an input object', '{ paint(paint: { layers: [{ colour: CRIMSO }] }) { id } }'],
    ['a key of an input object', '{ paint(paint: { layer: [] }) { id } }'],
    ['a type condition', '{ ... on Quer { walls { id } } }'],
    ['the type of a variable', 'query ($c: Colou) { paint(colour: $c) { id } }'],
    ['a directive', '{ walls @skipp(if: true) { id } }'],
    ['a selection that is missing', '{ walls }'],
    ['an enum value of a variable', 'query ($c: Colour) { paint(colour: $c) { id } }', { c: 'CRIMSO' }],
    [
      'an enum value in a variable',
      'query ($p: Paint) { paint(paint: $p) { id } }',
      { p: { layers: [{ colour: 'SCARLE' }] } },
    ],
    ['a key in a variable', 'query ($p: Paint) { paint(paint: $p) { id } }', { p: { layer: [] } }],
  ])('%s that is misspelt gets no suggestion', async (_what, query, variables = {}) => {
    const { status, text } = await askAt(gateway.url, query, { variables });

    expect(status).toBe(400);
    expect(text).not.toMatch(/did you mean|"CRIMSON|"SCARLET|"layers|\\"colour\\"\?/i);
  });

  it('a suggestion of a subgraph, which may be no production server, is removed', async () => {
    const message =
      'Variable "$c" got invalid value "CRIMSO"; Value "CRIMSO" does not exist in "Colour" enum. Did you mean the enum value "CRIMSON"?';
    stub.misbehave(answers({ data: null, errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] }));
    const { text, body } = await askAt(gateway.url, '{ walls { id } }');
    stub.misbehave(undefined);

    expect(body.errors?.[0]?.extensions['code']).toBe('BAD_USER_INPUT');
    expect(text).not.toContain('Did you mean');
  });
});

/** Sends a request as it is, and returns the response. */
const send = (url: string, method: string, headers: Record<string, string> = {}, body = '') =>
  new Promise<{ status: number | undefined; headers: IncomingHttpHeaders; text: string }>(
    (resolve, reject) => {
      request(url, { method, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      })
        .once('error', reject)
        .end(body);
    },
  );

const json = { 'content-type': 'application/json' };

/** One request for each way in which a response leaves the gateway. */
const exits: readonly (readonly [
  what: string,
  path: string,
  method: string,
  headers?: Record<string, string>,
  body?: string,
])[] = [
  ['data', '/graphql', 'POST', json, '{"query":"{ walls { id } }"}'],
  ['a validation error', '/graphql', 'POST', json, '{"query":"{ wall }"}'],
  ['half a body', '/graphql', 'POST', json, '{"query":'],
  ['another media type', '/graphql', 'POST', { 'content-type': 'text/xml' }, '<a/>'],
  ['a body that is too large', '/graphql', 'POST', json, `{"query":"${'x'.repeat(1_100_000)}"}`],
  ['another method', '/graphql', 'DELETE'],
  ['a GET without a preflight header', '/graphql?query={__typename}', 'GET'],
  ['a page visit', '/graphql', 'GET', { accept: 'text/html' }],
  [
    'a preflight',
    '/graphql',
    'OPTIONS',
    { origin: 'https://app.example', 'access-control-request-method': 'POST' },
  ],
  ['an unknown path', '/nowhere', 'GET'],
  ['an invalid URL', '/%ff', 'GET'],
  ['headers that are too long', '/graphql', 'GET', { x: 'x'.repeat(20_000) }],
  ['liveness', '/health/live', 'GET'],
  ['readiness', '/health/ready', 'GET'],
];

describe('every response in production', () => {
  it.each(exits)('%s has the security headers, and no header that names the software', async (...exit) => {
    const [, where, method, headers, body] = exit;
    const response = await send(`${gateway.url}${where}`, method, headers, body);

    expect(response.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(Object.keys(response.headers)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(x-powered-by|server|strict-transport-security)$/)]),
    );
    expect(response.headers['content-type'] ?? '').not.toContain('html');
    expect(response.text).not.toMatch(
      /node_modules|fastify|FST_|apollo server|127\.0\.0\.1|\bat .*\.[jt]s\b/i,
    );
  });

  it('a subgraph that is not reachable shows neither its address nor the reason, in an answer and in the health body', async () => {
    await stub.stop();
    const { text, body } = await askAt(gateway.url, '{ walls { id } }');
    const health = await send(`${gateway.url}/health/ready`, 'GET');
    await stub.restart();

    expect(body.errors?.[0]?.extensions).toEqual({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(text).not.toMatch(/ECONN|127\.0\.0\.1|localhost|walls at|:\d{4,5}/);
    expect(JSON.parse(health.text)).toEqual({ status: 'ready', checks: { walls: 'unreachable' } });
  });

  it('an error of a subgraph with a stack, SQL and a path is masked', async () => {
    const secret =
      'error: relation "wall" does not exist at /srv/app/db.js:3 for postgres://u:p@db:5432/walls';
    for (const code of [undefined, 'INTERNAL_SERVER_ERROR', 'P2010', '42P01']) {
      stub.misbehave(
        answers({
          data: { walls: null },
          errors: [
            {
              message: secret,
              path: ['walls'],
              extensions: { code, stacktrace: [secret], exception: { secret } },
            },
          ],
        }),
      );
      const { body } = await askAt(gateway.url, '{ walls { id } }');

      expect(body.errors).toEqual([
        {
          message: 'Internal error',
          path: ['walls'],
          extensions: { code: 'INTERNAL_SERVER_ERROR' },
        },
      ]);
    }
    stub.misbehave(undefined);
  });
});

describe('the pages of a development gateway', () => {
  it.each(['/', '/graphiql'])('%s has a content security policy and the security headers', async (page) => {
    const development = await startIn('development');
    const { headers } = await send(`${development.url}${page}`, 'GET', { accept: 'text/html' });
    await development.stop();

    expect(headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
  });
});
