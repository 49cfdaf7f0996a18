import { createHash } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { compose, createTestLog, startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

const things = 'query Things { things(count: 1) { name } }';
const renaming = 'mutation Rename { rename(id: "1", name: "x") { name } }';

const operation = (id: string, body: string, more: Record<string, unknown> = {}) => ({
  id,
  body,
  name: /\w+ (\w+)/.exec(body)?.[1] ?? '',
  type: body.startsWith('mutation') ? 'mutation' : 'query',
  ...more,
});

const manifestOf = (...operations: readonly unknown[]) =>
  JSON.stringify({ format: 'apollo-persisted-query-manifest', version: 1, operations });

const committed = manifestOf(
  operation('things', things),
  operation('rename', renaming),
  operation('mobile-only', 'query Mobile { things(count: 2) { name } }', { clientName: 'mobile' }),
  operation('broken', 'query Broken { noSuchField }'),
);

let folder: string;
let manifest: string;
let world: World | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'manifest-'));
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const start = async (mode: string, env: Record<string, string> = {}, text = committed): Promise<World> => {
  manifest = path.join(folder, 'operations.json');
  await writeFile(manifest, text);
  world = await startWorld({ TRUSTED_OPERATIONS: mode, OPERATIONS_MANIFEST: manifest, ...env });
  return world;
};

const idOf = (sha256Hash: string) => ({ persistedQuery: { version: 1, sha256Hash } });

const post = async (body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${world?.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
};

const get = async (parameters: Record<string, string>) => {
  const response = await fetch(`${world?.url}/graphql?${new URLSearchParams(parameters).toString()}`, {
    headers: { 'apollo-require-preflight': 'y' },
  });
  return { status: response.status, text: await response.text() };
};

const logged = (message: string) => world?.log.filter(({ msg }) => msg?.startsWith(message)) ?? [];
const replaceBy = async (text: string) => {
  await writeFile(`${manifest}.next`, text);
  await rename(`${manifest}.next`, manifest);
};

const answer = { status: 200, text: '{"data":{"things":[{"name":"zero"}]}}' };

/** Requests for operations that the manifest does not have, or not for this client. */
const untrusted: readonly (readonly [what: string, body: Record<string, unknown>])[] = [
  ['another text', { query: '{ things { name } }' }],
  ['the text with one more space', { query: `${things} ` }],
  [
    'another text under the id of a trusted one',
    { query: '{ things { name } }', extensions: idOf('things') },
  ],
  ['a text that is no GraphQL', { query: `{${'('.repeat(100)}` }],
  ['an unknown id', { extensions: idOf('other') }],
  ['an id that is no text', { extensions: { persistedQuery: { version: 1, sha256Hash: 7 } } }],
  ['the id of another client', { extensions: idOf('mobile-only') }],
  ['introspection', { query: '{ __schema { types { name } } }' }],
  ['another operation name', { query: '{ things { name } }', operationName: 'Other' }],
  [
    'a registration',
    {
      query: '{ things { name } }',
      extensions: idOf(createHash('sha256').update('{ things { name } }').digest('hex')),
    },
  ],
];

describe('a gateway that enforces trusted operations', () => {
  it('an operation of the manifest is executed by its id and by its text, by POST and by GET', async () => {
    await start('enforce');
    const extensions = JSON.stringify(idOf('things'));

    expect(await post({ extensions: idOf('things') })).toEqual(answer);
    expect(await post({ query: things })).toEqual(answer);
    expect(await post({ query: things, extensions: idOf('things'), operationName: 'Things' })).toEqual(
      answer,
    );
    expect(await get({ extensions })).toEqual(answer);
    expect(await get({ query: things })).toEqual(answer);
    expect((await post({ extensions: idOf('rename') })).status).toBe(200);
    expect((await get({ extensions: JSON.stringify(idOf('rename')) })).status).toBe(405);
  });

  it('any other operation is refused with OPERATION_NOT_TRUSTED, before any subgraph is asked', async () => {
    const { things: subgraph } = await start('enforce');
    const refused: unknown[] = [];
    for (const [what, body] of untrusted) {
      const parameters = Object.entries(body).map(([name, value]): [string, string] => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]);
      for (const { status, text } of [
        await post(body),
        await post(body, { accept: 'application/json' }),
        await get(Object.fromEntries(parameters)),
      ]) {
        refused.push([what, status, /"code":"(\w+)"/.exec(text)?.[1], /Syntax|things/.test(text)]);
      }
    }

    expect(refused).toEqual(
      untrusted.flatMap(([what]) =>
        Array.from({ length: 3 }, () => [what, 403, 'OPERATION_NOT_TRUSTED', false]),
      ),
    );
    expect(subgraph.seen).toEqual([]);
  });

  it('a request without an operation is refused as one that cannot be read', async () => {
    await start('enforce');

    expect((await post({})).status).toBe(400);
    expect((await post({ query: '' })).text).toContain('BAD_REQUEST');
  });

  it('an id with a client name is for that client only', async () => {
    await start('enforce');
    const ask = (name: string) =>
      post({ extensions: idOf('mobile-only') }, { 'apollographql-client-name': name });

    expect((await ask('mobile')).status).toBe(200);
    expect((await ask('web')).status).toBe(403);
  });

  it('a new manifest is used without a restart, and one that cannot be read leaves the old one in use', async () => {
    await start('enforce');
    await replaceBy('{ "format": "another" }');
    await until(() => logged('the new manifest is refused').length > 0);
    expect((await post({ extensions: idOf('things') })).status).toBe(200);

    await replaceBy(manifestOf(operation('others', things)));
    await until(() => logged('a new manifest is used').length > 0);
    expect((await post({ extensions: idOf('others') })).status).toBe(200);
    expect((await post({ extensions: idOf('things') })).status).toBe(403);
  });

  it('an operation that the supergraph makes invalid is logged, and does not stop the supergraph', async () => {
    const { things: stub, scores, supergraphPath } = await start('enforce');
    await until(() => logged('a trusted operation is not valid').length > 0);
    expect(logged('a trusted operation is not valid')).toMatchObject([{ operation: 'Broken' }]);

    await writeFile(
      supergraphPath,
      compose([scores, { ...stub, typeDefs: stub.typeDefs.replace('things(', 'items(') }]),
    );
    await until(() => logged('a new supergraph is served').length > 0);
    await until(() => logged('a trusted operation is not valid').length >= 3);
    expect((await post({ query: things })).text).toContain('GRAPHQL_VALIDATION_FAILED');
  });

  it('an operation with @defer is checked and executed like any other', async () => {
    const deferred = 'query Deferred { things(count: 1) { name ... @defer(label: "a") { score } } }';
    const twice =
      'query Twice { ... @defer(label: "a") { a: __typename } ... @defer(label: "a") { b: __typename } }';
    await start('enforce', {}, manifestOf(operation('deferred', deferred), operation('twice', twice)));
    await until(() => logged('a trusted operation is not valid').length > 0);
    const accept = { accept: 'multipart/mixed;incrementalSpec=v0.2, application/json' };

    expect(logged('a trusted operation is not valid')).toMatchObject([
      { operation: 'Twice', reason: 'Each label of @defer must be unique in the document.' },
    ]);
    const { status, text } = await post({ extensions: idOf('deferred') }, accept);
    expect([status, text]).toEqual([200, expect.stringContaining('"incremental":[{"data":{"score":0}')]);
    expect((await post({ extensions: idOf('twice') }, accept)).text).toContain('GRAPHQL_VALIDATION_FAILED');
    const untrusted = await post({ query: deferred.replace('score', 'id') }, accept);
    expect([untrusted.status, untrusted.text]).toEqual([
      403,
      expect.stringContaining('OPERATION_NOT_TRUSTED'),
    ]);
  });

  it('a trusted introspection stays refused in production', async () => {
    await start(
      'enforce',
      { NODE_ENV: 'production' },
      manifestOf(operation('all', 'query All { __schema { types { name } } }')),
    );

    expect(await post({ extensions: idOf('all') })).toMatchObject({ status: 400 });
  });

  it('a manifest that is missing or that cannot be used ends the start with one sentence', async () => {
    const { supergraphPath } = await start('off', {}, '{}');
    const startOn = async (manifestPath: string) =>
      startGateway(
        readConfig({
          NODE_ENV: 'test',
          PORT: '0',
          SUPERGRAPH_PATH: supergraphPath,
          TRUSTED_OPERATIONS: 'enforce',
          OPERATIONS_MANIFEST: manifestPath,
        }),
        createTestLog().logger,
      );

    await expect(startOn(path.join(folder, 'none.json'))).rejects.toThrow(
      /^OPERATIONS_MANIFEST: the file .* cannot be read/,
    );
    await expect(startOn(manifest)).rejects.toThrow(
      /^OPERATIONS_MANIFEST: the manifest in .* cannot be used: it has another format/,
    );
  });
});

describe('a gateway that logs untrusted operations', () => {
  it('an operation that is not in the manifest is executed, and logged once', async () => {
    await start('log');
    for (let n = 0; n < 3; n += 1) {
      expect((await post({ query: 'query Mine { things { name } }' })).status).toBe(200);
      expect(await post({ extensions: idOf('things') })).toEqual(answer);
    }

    expect(logged('an operation is not in the manifest')).toMatchObject([{ operation: 'Mine' }]);
  });

  it('at most 300 different operations are logged for one manifest', async () => {
    await start('log');
    for (let n = 0; n < 310; n += 1) await post({ query: `query Q${n} { __typename }` });

    expect(logged('an operation is not in the manifest')).toHaveLength(300);
    expect(logged('no more operations that are not trusted')).toHaveLength(1);
  });

  it('a client may still register its queries', async () => {
    await start('log');
    const query = '{ things(count: 1) { name } }';
    const extensions = idOf(createHash('sha256').update(query).digest('hex'));

    expect((await post({ extensions })).text).toContain('PERSISTED_QUERY_NOT_FOUND');
    expect(await post({ query, extensions })).toEqual(answer);
    expect(await post({ extensions })).toEqual(answer);
  });
});

it('registered queries take 30 MiB at most: the oldest ones are forgotten', async () => {
  await start('off');
  const queryOf = (n: number) => `{ things(count: 1) { name } } #${n} ${'x'.repeat(900_000)}`;
  const idOfQuery = (n: number) => idOf(createHash('sha256').update(queryOf(n)).digest('hex'));
  for (let n = 0; n < 40; n += 1) {
    expect(await post({ query: queryOf(n), extensions: idOfQuery(n) })).toEqual(answer);
  }

  expect(await post({ extensions: idOfQuery(39) })).toEqual(answer);
  expect((await post({ extensions: idOfQuery(0) })).text).toContain('PERSISTED_QUERY_NOT_FOUND');
});

it('with TRUSTED_OPERATIONS=off the manifest is not read', async () => {
  world = await startWorld({ TRUSTED_OPERATIONS: 'off', OPERATIONS_MANIFEST: '/nowhere/operations.json' });

  expect((await post({ query: '{ things { name } }' })).status).toBe(200);
});
