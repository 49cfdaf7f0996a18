import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { useWorld } from './support/world.js';

const json = { 'content-type': 'application/json' };

describe('the HTTP side in production', () => {
  const world = useWorld({ NODE_ENV: 'production', CORS_ORIGINS: 'https://app.example.org' });
  const send = async (init: RequestInit, search = '') => {
    const response = await fetch(`${world().url}/graphql${search}`, { redirect: 'manual', ...init });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const post = (body: string, headers: Record<string, string> = json) =>
    send({ method: 'POST', headers, body });

  it.each([
    ['a GET without a preflight header', () => send({}, '?query={things{id}}'), 400],
    [
      'a mutation by GET',
      () =>
        send(
          { headers: { 'apollo-require-preflight': 'y' } },
          '?query=mutation{rename(id:"1",name:"x"){id}}',
        ),
      405,
    ],
    ['a text/plain body', () => post('{"query":"{things{id}}"}', { 'content-type': 'text/plain' }), 400],
    [
      'a form',
      () => post('query={things{id}}', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
    ],
    ['multipart', () => post('--x--', { 'content-type': 'multipart/form-data; boundary=x' }), 415],
    ['no content type', () => send({ method: 'POST', body: Buffer.from('{"query":"{things{id}}"}') }), 415],
    [
      'a body over 1 MB',
      () => post(JSON.stringify({ query: '{things{id}}', variables: { a: 'x'.repeat(1 << 20) } })),
      413,
    ],
    ['half a body of JSON', () => post('{"query": "{thi'), 400],
    ['an empty body', () => post(''), 400],
    ['an array of operations', () => post(JSON.stringify(Array(10).fill({ query: '{things{id}}' }))), 400],
    ['a query that is no text', () => post('{"query": 7}'), 400],
    ['variables that are no object', () => post('{"query": "{things{id}}", "variables": [1]}'), 400],
    [
      'a variable of the wrong type',
      () => post('{"query":"query($n:Int){things(count:$n){id}}","variables":{"n":"x"}}'),
      400,
    ],
    ['a key named __proto__', () => post('{"query":"{things{id}}","variables":{"__proto__":{"a":1}}}'), 400],
    [
      'a document of many tokens',
      () =>
        post(
          JSON.stringify({
            query: `{${Array.from({ length: 6_000 }, (_, n) => ` a${n}: __typename`).join('')}}`,
          }),
        ),
      400,
    ],
    ['_entities', () => post('{"query":"{_entities(representations:[]){__typename}}"}'), 400],
    ['_service', () => post('{"query":"{_service{sdl}}"}'), 400],
    [
      '@defer from a client that accepts no parts',
      () => post('{"query":"{things{id ... @defer {name}}}"}'),
      406,
    ],
    [
      'an operation name that is not there',
      () => post('{"query":"query A{things{id}}","operationName":"B"}'),
      400,
    ],
    [
      'a persisted query with a wrong hash',
      () => post('{"query":"{things{id}}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}'),
      400,
    ],
  ])('refuses %s, before any subgraph is asked', async (_what, sent, status) => {
    const asked = world().things.seen.length;
    const answer = await sent();

    expect(answer.status).toBe(status);
    const { errors } = JSON.parse(answer.text) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]?.extensions.code).toMatch(/^[A-Z_]+$/);
    expect(errors[0]?.extensions.code).not.toBe('INTERNAL_SERVER_ERROR');
    expect(answer.text).not.toMatch(/node_modules|fastify|apollo server|at .*\.js/i);
    expect(world().things.seen.length).toBe(asked);
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'HEAD', 'TRACE'])(
    'the method %s gets 405 and the allowed methods',
    async (method) => {
      const { status, allow } = await new Promise<{ status: number | undefined; allow: string | undefined }>(
        (resolve, reject) => {
          httpRequest(`${world().url}/graphql`, { method }, (response) => {
            response.resume();
            resolve({ status: response.statusCode, allow: response.headers.allow });
          })
            .once('error', reject)
            .end();
        },
      );
      expect({ status, allow }).toEqual({ status: 405, allow: 'GET, POST, OPTIONS' });
    },
  );

  it.each(['https://evil.example', 'https://studio.apollographql.com', 'http://localhost:3000', 'null'])(
    'the unknown origin %s gets no CORS permission, neither in a preflight nor in a request',
    async (origin) => {
      const preflight = await send({
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type',
        },
      });
      const answer = await post('{"query":"{__typename}"}', { ...json, origin });
      for (const { headers } of [preflight, answer])
        expect(headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  it('a configured origin gets CORS permission, and the response varies on the origin', async () => {
    const origin = 'https://app.example.org';
    const preflight = await send({
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    });
    const answer = await post('{"query":"{__typename}"}', { ...json, origin });

    expect(preflight.status).toBe(204);
    for (const { headers } of [preflight, answer]) {
      expect(headers.get('access-control-allow-origin')).toBe(origin);
      expect(headers.get('vary')).toMatch(/origin/i);
    }
  });

  it('a response forbids content sniffing, and has no header that names the server software', async () => {
    const { headers } = await post('{"query":"{__typename}"}');

    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('server')).toBeNull();
  });

  it.each(['{__schema{types{name}}}', '{...F} fragment F on Query{a:__type(name:"Thing"){name}}'])(
    'introspection is refused in production: %s',
    async (query) => {
      const { status, text } = await post(JSON.stringify({ query }));

      expect(status).toBe(400);
      expect(text).not.toMatch(/apollo/i);
    },
  );

  it('a misspelt field gets no suggestion in production', async () => {
    const { status, text } = await post('{"query":"{thing(id:1){nam}}"}');

    expect(status).toBe(400);
    expect(text).not.toMatch(/did you mean|"name/i);
  });

  it('an unknown key of a variable gets no suggestion in production', async () => {
    const query = 'query ($filter: ThingFilter) { things(filter: $filter) { id } }';
    const { status, text } = await post(JSON.stringify({ query, variables: { filter: { nam: 'x' } } }));

    expect(status).toBe(400);
    expect(text).toContain('nam');
    expect(text).not.toMatch(/did you mean|"name/i);
  });

  it.each([
    ['operationName=', 200],
    ['variables=', 200],
    ['extensions', 200],
    ['operationName=&variables=&extensions=', 200],
    ['operationName=&operationName=', 400],
    ['variables=x', 400],
  ])('a GET whose optional parameters are %s gets %d', async (parameters, status) => {
    const headers = { 'apollo-require-preflight': 'y' };
    expect((await send({ headers }, `?query={things{id}}&${parameters}`)).status).toBe(status);
  });

  it.each(['/graphql', '/graphiql', '/graphiql/start.js', '/'])(
    'there is no page at %s in production',
    async (path) => {
      const response = await fetch(`${world().url}${path}`, { headers: { accept: 'text/html' } });

      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.headers.get('content-type')).toContain('json');
    },
  );

  it('20,000 unknown keys of an input get one short error, quickly', async () => {
    const filter = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`key${n}`, n]));
    const { status, text } = await post(
      JSON.stringify({
        query: 'query($filter:ThingFilter){things(filter:$filter){id}}',
        variables: { filter: { ...filter, name: 'x'.repeat(500_000) } },
      }),
    );
    expect(status).toBe(400);
    expect(text).toContain('BAD_USER_INPUT');
    expect(text.length).toBeLessThan(2_000);
    expect((await post('{"query":"{things{id}}"}')).status).toBe(200);
  });

  it.each([
    ['a field', `{${'x'.repeat(900_000)}}`, {}],
    ['many fields', `{${Array.from({ length: 20 }, (_, n) => `f${n}${'x'.repeat(40_000)}`).join(' ')}}`, {}],
    ['a variable', 'query($n:Int){things(count:$n){id}}', { n: 'x'.repeat(900_000) }],
  ])('an error does not repeat %s of a megabyte', async (_what, query, variables) => {
    const { status, text } = await post(JSON.stringify({ query, variables }));
    expect(status).toBe(400);
    expect(text.length).toBeLessThan(20_000);
  });

  it('a persisted query is remembered by its hash', async () => {
    const query = '{ things(count: 1) { name } }';
    const extensions = {
      persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') },
    };
    const unknown = await post(JSON.stringify({ extensions }));
    const registered = await post(JSON.stringify({ query, extensions }));
    const known = await send(
      { headers: { 'apollo-require-preflight': 'y' } },
      `?extensions=${encodeURIComponent(JSON.stringify(extensions))}`,
    );

    expect(unknown.text).toContain('PERSISTED_QUERY_NOT_FOUND');
    expect(JSON.parse(registered.text)).toEqual({ data: { things: [{ name: 'zero' }] } });
    expect(JSON.parse(known.text)).toEqual({ data: { things: [{ name: 'zero' }] } });
  });

  it('malformed bodies of many kinds get a 4xx, never a 5xx, and the gateway stays up', async () => {
    // Deterministic noise: the same bodies in every run.
    const noise = (n: number) => createHash('sha512').update(String(n)).digest();
    const whole = JSON.stringify({
      query: 'query Q($n: Int) { things(count: $n) { id name score } }',
      variables: { n: 2 },
      operationName: 'Q',
      extensions: {},
    });
    const values = [
      'null',
      '7',
      '""',
      '[]',
      '{}',
      'true',
      '"{"',
      '[null]',
      '{"query":null}',
      '"\\u0000"',
      '1e999',
    ];
    const bodies = [
      ...Array.from({ length: 100 }, (_, n) => noise(n)),
      ...Array.from({ length: whole.length }, (_, n) => Buffer.from(whole.slice(0, n))),
      ...Array.from({ length: whole.length }, (_, n) =>
        Buffer.from(`${whole.slice(0, n)}${String.fromCharCode(noise(n)[0] ?? 0)}${whole.slice(n + 1)}`),
      ),
      ...['query', 'variables', 'operationName', 'extensions'].flatMap((key) =>
        values.map((value) =>
          Buffer.from(`{${key === 'query' ? '' : '"query":"{things{id}}",'}"${key}":${value}}`),
        ),
      ),
      ...values.map((value) => Buffer.from(value)),
    ];
    const blamed: string[] = [];
    for (const body of bodies) {
      const { status, text } = await send({ method: 'POST', headers: json, body });
      if (status >= 500 || text.includes('INTERNAL_SERVER_ERROR'))
        blamed.push(`${status} ${body.toString()} ${text}`);
    }

    expect(blamed).toEqual([]);
    expect((await post('{"query":"{things{id}}"}')).status).toBe(200);
  });
});
