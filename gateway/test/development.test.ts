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
    '# Renames <a> thing.\n# Variables: { "id": "1" }\nmutation Rename($id: ID!) {\n  rename(id: $id, name: "x") {\n    name\n  }\n}\n',
  'of-another-graph': '{ nothing }\n',
  'half-an-operation': '{ things {\n',
};

let world: Awaited<ReturnType<typeof startWorld>>;
let demoWorld: typeof world;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'examples-'));
  await Promise.all(
    Object.entries(examples).map(([name, text]) => writeFile(path.join(folder, `${name}.graphql`), text)),
  );
  world = await startWorld({ NODE_ENV: 'development', EXAMPLES_PATH: folder });
  demoWorld = await startWorld({ NODE_ENV: 'development', DEMO_LOGIN: 'demo:pass:word' });
});
afterAll(async () => {
  await Promise.all([world.stop(), demoWorld.stop()]);
  await rm(folder, { recursive: true, force: true });
});

const get = async (path: string, headers: Record<string, string> = {}, url = world.url) => {
  const response = await fetch(`${url}${path}`, { headers, redirect: 'manual' });
  return { status: response.status, headers: response.headers, text: await response.text() };
};

interface PageElement {
  hidden?: boolean;
  textContent?: string;
  onclick: () => Promise<void>;
}

/** Runs the script of GraphiQL's page, and returns what it renders and the elements that it changes. */
const openGraphiql = async (
  search = '',
  respond?: unknown,
  demoLogin?: string,
): Promise<{
  rendered: unknown[];
  elements: Partial<Record<string, PageElement>>;
  respond: unknown;
  fetch: (url: string, request: unknown) => Promise<unknown>;
}> => {
  const { text } = await get('/graphiql/start.js', {}, demoLogin === undefined ? world.url : demoWorld.url);
  const elements: Partial<Record<string, PageElement>> = {};
  const rendered: unknown[] = [];
  const page = { rendered, elements, respond, fetch: async (): Promise<unknown> => undefined };
  runInNewContext(text, {
    location: { search },
    URLSearchParams,
    document: { getElementById: (id: string) => (elements[id] ??= {} as PageElement) },
    fetch: async (...request: unknown[]) => (page.respond as (...args: unknown[]) => unknown)(...request),
    GraphiQL: {
      createFetcher: (options: { fetch: typeof page.fetch }) => {
        page.fetch = options.fetch;
      },
    },
    React: {
      createElement: (_component: unknown, properties: unknown): unknown =>
        JSON.parse(JSON.stringify(properties)),
    },
    ReactDOM: { createRoot: () => ({ render: (element: unknown) => rendered.push(element) }) },
  });
  return page;
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
    ['?query={loose{id}}', { query: '{loose{id}}' }],
    ['?example=a-rename', { query: expect.stringMatching(/^mutation Rename/), variables: '{ "id": "1" }' }],
    ['?example=of-another-graph', { defaultTabs: [expect.anything()] }],
  ])('GraphiQL opens at %s with the right operation', async (search, properties) => {
    const { rendered } = await openGraphiql(search);
    expect(rendered).toEqual([expect.objectContaining(properties)]);
  });

  it('GraphiQL without a demo user shows which header signs a viewer in', async () => {
    const { elements } = await openGraphiql();
    expect(elements['login']).toMatchObject({ hidden: true });
    expect(elements['state']?.textContent).toContain('{"authorization": "Bearer <access token>"}');
    expect((await get('/')).text).toContain('JWT_ISSUERS');
  });

  it('the button of the demo user fills in the header, and is shown again after UNAUTHENTICATED', async () => {
    const sent: { body: string; headers: Record<string, string> }[] = [];
    const respond = (body: unknown) => async (_url: string, request: (typeof sent)[number]) => {
      sent.push(request);
      return Response.json(body);
    };
    const loggedIn = { data: { login: { tokens: { accessToken: 'a.b.c' } } } };
    const page = await openGraphiql('', respond(loggedIn), 'demo:pass:word');
    const { login, copy, state } = page.elements;
    expect([login?.hidden, copy?.hidden]).toEqual([false, true]);

    await login?.onclick();
    expect(JSON.parse(sent[0]!.body)).toMatchObject({ variables: { login: 'demo', password: 'pass:word' } });
    expect(page.rendered.at(-1)).toMatchObject({ headers: '{"authorization":"Bearer a.b.c"}' });
    expect([login?.hidden, copy?.hidden]).toEqual([true, false]);

    page.respond = respond({ errors: [{ message: 'No.', extensions: { code: 'UNAUTHENTICATED' } }] });
    const response = (await page.fetch('/graphql', { body: '', headers: {} })) as Response;
    expect(await response.json()).toHaveProperty('errors');
    expect([login?.hidden, copy?.hidden, state?.textContent]).toEqual([false, true, 'This needs a viewer.']);

    await login?.onclick();
    expect(state?.textContent).toBe('The login failed: No.');
  });

  it('the password of the demo user cannot be read by a page of another origin', async () => {
    const { headers, text } = await get('/graphiql/start.js', {}, demoWorld.url);
    expect(text).toContain('pass:word');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('access-control-allow-origin')).toBeNull();
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
