import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sendRaw } from './support/raw-http.js';
import { startWorld } from './support/world.js';

const examples = {
  'first-query': 'query First {\n  things {\n    id\n  }\n}\n',
  'a-rename':
    '# Renames <a> thing.\n# Headers: { "x-viewer-id": "bob" }\n# Variables: { "id": "1" }\nmutation Rename($id: ID!) {\n  rename(id: $id, name: "x") {\n    name\n  }\n}\n',
  'of-another-graph': '{ nothing }\n',
  'half-an-operation': '{ things {\n',
};

let world: Awaited<ReturnType<typeof startWorld>>;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'examples-'));
  await Promise.all(
    Object.entries(examples).map(([name, text]) => writeFile(path.join(folder, `${name}.graphql`), text)),
  );
  world = await startWorld({ NODE_ENV: 'development', EXAMPLES_PATH: folder });
});
afterAll(async () => {
  await world.stop();
  await rm(folder, { recursive: true, force: true });
});

const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${world.url}${path}`, { headers, redirect: 'manual' });
  return { status: response.status, headers: response.headers, text: await response.text() };
};

describe('the explorer in development', () => {
  it('the first page links the first query, GraphiQL, Sandbox, health and the operations of this graph', async () => {
    const { status, headers, text } = await get('/');
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect([...text.matchAll(/href="(\/[^"]+)"/g)].map(([, link]) => link)).toEqual([
      '/graphiql?example=first-query',
      '/graphiql',
      '/health/live',
      '/health/ready',
      '/graphiql?example=first-query',
      '/graphiql?example=a-rename',
    ]);
    const sandbox = /href="(https:[^"]+)"/.exec(text)?.[1];
    expect(sandbox).toContain(`endpoint=${encodeURIComponent(`${world.url}/graphql`)}`);
    expect(text).toContain('Renames &#60;a&#62; thing.');
    expect(text).not.toContain('of-another-graph');
    for (const [, link = ''] of text.matchAll(/href="(\/[^"?]+)/g))
      expect((await get(link)).status).toBe(200);
  });

  it('the name of a host cannot bring markup into the first page', async () => {
    const { bytes } = await sendRaw(world.url, { headers: { host: '"><script>alert(1)</script>' } });
    expect(bytes.toString()).not.toContain('<script>');
  });

  it('a browser that visits the endpoint gets to GraphiQL with its query, and a client is answered', async () => {
    const { status, headers } = await get('/graphql?query=%7Bthings%7Bid%7D%7D', {
      accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
    });
    expect([status, headers.get('location')]).toEqual([302, '/graphiql?query=%7Bthings%7Bid%7D%7D']);
    const asked = await get('/graphql?query=%7Bthings%7Bid%7D%7D', { 'apollo-require-preflight': '1' });
    expect(asked.status).toBe(200);
  });

  it.each([
    ['', { defaultTabs: [expect.objectContaining({ query: examples['first-query'].trim() })] }],
    ['?query={loose{id}}', { query: '{loose{id}}', headers: '{"x-viewer-id":"ann"}' }],
    [
      '?example=a-rename',
      {
        query: expect.stringMatching(/^mutation Rename/),
        headers: '{ "x-viewer-id": "bob" }',
        variables: '{ "id": "1" }',
      },
    ],
    ['?example=of-another-graph', { defaultTabs: [expect.anything()] }],
  ])('GraphiQL opens at %s with the right operation and a viewer header', async (search, properties) => {
    const { text } = await get('/graphiql/start.js');
    const rendered: unknown[] = [];
    const GraphiQL = { createFetcher: () => undefined };
    runInNewContext(text, {
      location: { search },
      URLSearchParams,
      document: { getElementById: () => undefined },
      GraphiQL,
      React: { createElement: (_component: unknown, properties: unknown) => properties },
      ReactDOM: { createRoot: () => ({ render: (element: unknown) => rendered.push(element) }) },
    });
    expect(JSON.parse(JSON.stringify(rendered))).toEqual([
      expect.objectContaining({ defaultHeaders: '{"x-viewer-id":"ann"}', ...properties }),
    ]);
  });

  it('GraphiQL is served from local files alone', async () => {
    const page = await get('/graphiql');
    const files = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, file]) => String(file));

    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect(page.text).not.toMatch(/https?:/);
    expect(files).toHaveLength(5);
    for (const file of files) {
      const { status, headers, text } = await get(file);
      expect(status).toBe(200);
      expect(headers.get('content-type')).toMatch(/javascript|css/);
      expect(text.length).toBeGreaterThan(100);
    }
  });
});

describe('a gateway in development', () => {
  it.each(['https://studio.apollographql.com', 'http://localhost:3000', 'http://127.0.0.1:8080'])(
    'the origin %s may read responses in development',
    async (origin) => {
      const { headers } = await world.ask('{ __typename }', { headers: { origin } });
      expect(headers.get('access-control-allow-origin')).toBe(origin);
    },
  );

  it.each([
    'https://evil.example',
    'https://localhost.evil.example',
    'https://studio.apollographql.com.evil.example',
  ])('the origin %s may not read responses in development', async (origin) => {
    const { headers } = await world.ask('{ __typename }', { headers: { origin } });
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it('introspection and suggestions work in development, and no stack is shown', async () => {
    const introspected = await world.ask('{ __schema { queryType { name } } }');
    const misspelt = await world.ask('{ thing(id: 1) { nam } }');

    expect(introspected.body.data).toEqual({ __schema: { queryType: { name: 'Query' } } });
    expect(misspelt.text).toContain('Did you mean');
    expect(misspelt.text).not.toMatch(/stack|node_modules/);
  });
});
