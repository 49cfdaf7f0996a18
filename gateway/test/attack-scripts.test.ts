import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

let world: World;
beforeAll(async () => {
  world = await startWorld({ NODE_ENV: 'production' });
});
afterAll(() => world.stop());

const send = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`${world.url}${path}`, { redirect: 'manual', ...init });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type') ?? '', text };
};

const post = (body: unknown, headers: Record<string, string> = {}) =>
  send('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

const ask = (query: string) => post({ query });

const errorsIn = ({ text }: { text: string }) =>
  (JSON.parse(text) as { errors?: { message: string; extensions: Record<string, unknown> }[] }).errors ?? [];

/** What the request of a check must not return: any data. */
const isRefused = async (answer: Promise<{ status: number; text: string }>) => {
  const { status, text } = await answer;
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(text).not.toContain('"data":{');
};

/** The checks of the public script graphql-cop 1.x, each with the request that it sends. */
describe('the twelve checks of graphql-cop, at the settings of production', () => {
  it('alias overloading: 101 aliases are refused', async () => {
    await isRefused(
      ask(`query cop { ${Array.from({ length: 101 }, (_, n) => `alias${n}:__typename`).join(' ')} }`),
    );
  });

  it('array-based query batching is refused', async () => {
    await isRefused(post(Array(10).fill({ query: 'query cop { __typename }', operationName: 'cop' })));
  });

  it('directive overloading: ten directives at a field get one error, not ten', async () => {
    const answer = await ask('query cop { __typename @aa@aa@aa@aa@aa@aa@aa@aa@aa@aa }');
    expect([answer.status, errorsIn(answer).length]).toEqual([400, 1]);
  });

  it('circular introspection is refused', async () => {
    await isRefused(
      ask(
        'query cop { __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } } }',
      ),
    );
  });

  it('field duplication: 500 times the same field is refused', async () => {
    await isRefused(ask(`query cop { ${'__typename \n'.repeat(500)} }`));
  });

  it('field suggestions: a misspelt field gets none', async () => {
    for (const query of [
      'query cop { __schema { directive } }',
      '{ thin(id: 1) { id } }',
      '{ thing(ib: 1) { id } }',
    ]) {
      const answer = await ask(query);
      expect(answer.status).toBe(400);
      expect(answer.text).not.toMatch(/did you mean/i);
    }
  });

  it('GraphQL explorers: no path has one', async () => {
    for (const path of ['/', '/graphql', '/graphiql', '/playground', '/console', '/altair', '/v1/graphiql']) {
      const { status, type, text } = await send(path, { headers: { accept: 'text/html' } });
      expect(status).toBeGreaterThanOrEqual(400);
      expect(type).not.toContain('html');
      expect(text).not.toMatch(/graphiql|playground|sandbox|voyager/i);
    }
  });

  it('introspection is refused', async () => {
    await isRefused(ask('query cop { __schema { types { name fields { name } } } }'));
    await isRefused(ask('query cop { __type(name: "Query") { name } }'));
  });

  it('a query by GET without a preflight header is refused', async () => {
    await isRefused(send(`/graphql?query=${encodeURIComponent('query cop {__typename}')}`));
  });

  it('a mutation by GET is refused, with a preflight header as well', async () => {
    const path = `/graphql?query=${encodeURIComponent('mutation cop {__typename}')}`;
    await isRefused(send(path));
    await isRefused(send(path, { headers: { 'apollo-require-preflight': 'y' } }));
  });

  it('a query in a form is refused', async () => {
    const body = new URLSearchParams({ query: 'query cop {__typename}' });
    await isRefused(send('/graphql', { method: 'POST', body }));
    await isRefused(
      send('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: '{"query":"query cop {__typename}"}',
      }),
    );
  });

  it('trace mode and unhandled errors: no response has a trace, an exception or a stack', async () => {
    for (const query of ['query cop { __typename }', 'qwerty cop { abc }', '{ broken }']) {
      const { text } = await post(
        { query },
        { 'x-apollo-tracing': '1', 'apollo-federation-include-trace': 'ftv1' },
      );
      expect(text).not.toMatch(/tracing|ftv1|exception|stacktrace|node_modules|\.js:/i);
    }
  });
});
