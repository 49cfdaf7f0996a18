import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bearerOf } from '@cinegraph/testing/tokens';
import { sendRaw, varies, type RawAnswer } from './support/raw-http.js';
import { answers } from './support/stub-subgraph.js';
import { useWorld } from './support/world.js';

const preflight = { 'apollo-require-preflight': 'yes' };
const json = { 'content-type': 'application/json' };
const fromOne = '{ things { name } }';
const fromBoth = '{ things { name score } }';

const startedIn = (env: Record<string, string>) => {
  const world = useWorld(env);
  afterEach(() => {
    for (const stub of [world().things, world().scores]) {
      stub.keep(undefined);
      stub.misbehave(undefined);
      stub.seen.length = 0;
    }
  });
  return {
    world,
    keep: (things: string | undefined, scores?: string) => {
      world().things.keep(things);
      world().scores.keep(scores);
    },
    get: (query: string, headers: Record<string, string> = {}) =>
      sendRaw(`${world().url}/graphql?query=${encodeURIComponent(query)}`, {
        headers: { ...preflight, ...headers },
      }),
    post: (query: string, headers: Record<string, string> = {}) =>
      sendRaw(`${world().url}/graphql`, {
        method: 'POST',
        headers: { ...json, ...headers },
        body: JSON.stringify({ query }),
      }),
  };
};

const cacheControlOf = ({ headers }: RawAnswer) => headers['cache-control'];

describe('for how long an answer may be kept', () => {
  const { world, keep, get, post } = startedIn({});

  it.each([
    ['the least of both subgraphs', 'max-age=60, public', 'max-age=5, public', 'max-age=5, public'],
    [
      'the least, whichever subgraph says it',
      'max-age=7, public',
      'max-age=300, public',
      'max-age=7, public',
    ],
    ['nothing where one of them says nothing', 'max-age=60, public', undefined, 'no-store'],
    ['nothing where one of them says 0', 'max-age=60', 'max-age=0', 'no-store'],
    ['nothing where one of them says no-store', 'max-age=60', 'no-store', 'no-store'],
    ['nothing where one of them says no-cache', 'max-age=60', 'no-cache, max-age=60', 'no-store'],
    ['nothing where one of them cannot be read', 'max-age=60', 'max-age=soon', 'no-store'],
    ['nothing where one is private', 'max-age=60', 'max-age=60, private', 'private, no-store'],
    ['the lesser of two kinds of caches', 'max-age=60', 's-maxage=9, max-age=60', 'max-age=9, public'],
  ])('the cache lifetime of a response from two subgraphs is %s', async (_what, things, scores, expected) => {
    keep(things, scores);
    const answer = await get(fromBoth);

    expect([answer.status, cacheControlOf(answer)]).toEqual([200, expected]);
    expect(cacheControlOf(await post(fromBoth))).toBe(expected);
  });

  it('the cache lifetime of a response depends only on the subgraphs that were asked', async () => {
    keep('max-age=60', 'no-store');

    expect(cacheControlOf(await get(fromOne))).toBe('max-age=60, public');
    expect(cacheControlOf(await get('{ __typename }'))).toBe('no-store');
  });

  it('a response to a viewer is private and not stored', async () => {
    keep('max-age=60');
    const answer = await get(fromOne, bearerOf('ann'));

    expect([cacheControlOf(answer), answer.headers.etag]).toEqual(['private, no-store', undefined]);
    expect(cacheControlOf(await post(fromOne, bearerOf('ann')))).toBe('private, no-store');
  });

  it('a response to a mutation is not stored', async () => {
    keep('max-age=60');

    expect(cacheControlOf(await post('mutation { rename(id: "1", name: "x") { id } }'))).toBe(
      'private, no-store',
    );
  });

  it.each([
    ['a field', '{ things { name odd } }', 200],
    ['the document', '{ things { ', 400],
    ['validation', '{ nothing }', 400],
  ])('a response is private and not stored where %s fails', async (_what, query, status) => {
    keep('max-age=60', 'max-age=60');
    const answer = await get(query);

    expect([answer.status, cacheControlOf(answer)]).toEqual([status, 'private, no-store']);
    expect(answer.headers.etag).toBeUndefined();
  });

  it('a response with an unusable subgraph response is not stored', async () => {
    keep('max-age=60', 'max-age=60');
    world().scores.misbehave((response) => {
      response.setHeader('cache-control', 'max-age=60');
      answers('no JSON')(response);
    });
    const answer = await get(fromBoth);

    expect([answer.status, cacheControlOf(answer)]).toEqual([200, 'private, no-store']);
    expect(answer.bytes.toString()).toContain('SUBGRAPH_UNAVAILABLE');
  });

  it.each([
    [
      'a body that is none',
      () => sendRaw(`${world().url}/graphql`, { method: 'POST', headers: json, body: '{' }),
      400,
    ],
    ['one without the preflight header', () => sendRaw(`${world().url}/graphql?query={__typename}`), 400],
    ['HEAD', () => sendRaw(`${world().url}/graphql?query={__typename}`, { method: 'HEAD' }), 405],
    ['PUT', () => sendRaw(`${world().url}/graphql`, { method: 'PUT' }), 405],
    ['what is not there', () => sendRaw(`${world().url}/nothing`), 404],
    ['health', () => sendRaw(`${world().url}/health/ready`), 200],
  ])('a response is not stored for %s', async (_what, send, status) => {
    const answer = await send();

    expect([answer.status, cacheControlOf(answer)]).toEqual([status, 'no-store']);
  });
});

describe('an answer at the edge', () => {
  const { world, keep, get, post } = startedIn({});

  it('a cached response is revalidated with 304, in any encoding', async () => {
    keep('max-age=60');
    const first = await get(fromOne);
    const tag = String(first.headers.etag);
    expect(tag).toMatch(/^W\/"[\w-]{27}"$/);
    for (const named of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
      const again = await get(fromOne, { 'if-none-match': named, 'accept-encoding': 'br' });
      expect([again.status, again.bytes.length, again.headers['content-type']]).toEqual([304, 0, undefined]);
      expect([again.headers.etag, cacheControlOf(again)]).toEqual([tag, 'max-age=60, public']);
      expect(varies(again)).toEqual(varies(first));
    }
    const unchanged = await get(fromOne, { 'if-none-match': '"other"' });
    expect([unchanged.status, unchanged.bytes]).toEqual([200, first.bytes]);
  });

  it('the entity tag differs for another response and for another media type', async () => {
    keep('max-age=60');
    const tags = await Promise.all([
      get(fromOne),
      get('{ things(count: 2) { name } }'),
      get(fromOne, { accept: 'application/graphql-response+json' }),
    ]);

    expect(new Set(tags.map(({ headers }) => headers.etag)).size).toBe(3);
  });

  it('an uncacheable response and a response to a POST have no entity tag and are sent whole', async () => {
    keep('max-age=60');
    const tag = String((await get(fromOne)).headers.etag);
    const posted = await post(fromOne, { 'if-none-match': tag });
    keep('no-store');
    const unkept = await get(fromOne, { 'if-none-match': tag });

    for (const { status, headers } of [posted, unkept])
      expect([status, headers.etag]).toEqual([200, undefined]);
  });

  it('Vary names media type, encoding, origin and the access token', async () => {
    keep('max-age=60');

    expect(varies(await get(fromOne))).toEqual(['accept', 'accept-encoding', 'authorization', 'origin']);
  });

  it('an unknown origin gets no CORS permission, not even with a 304', async () => {
    keep('max-age=60');
    const origin = 'https://evil.example';
    const tag = String((await get(fromOne)).headers.etag);
    const answer = await get(fromOne, { origin });
    const again = await get(fromOne, { origin, 'if-none-match': tag });

    expect([answer.status, again.status]).toEqual([200, 304]);
    for (const { headers } of [answer, again]) expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  it('a persisted query is served by its hash alone, and the error for an unknown hash is not stored', async () => {
    keep('max-age=60');
    const query = '{ things(count: 1) { name } }';
    const extensions = JSON.stringify({
      persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') },
    });
    const byHash = () =>
      sendRaw(`${world().url}/graphql?extensions=${encodeURIComponent(extensions)}`, { headers: preflight });
    const unknown = await byHash();
    const registered = await sendRaw(
      `${world().url}/graphql?${new URLSearchParams({ query, extensions }).toString()}`,
      { headers: preflight },
    );
    const [first, second] = [await byHash(), await byHash()];

    expect(unknown.bytes.toString()).toContain('PERSISTED_QUERY_NOT_FOUND');
    expect(cacheControlOf(unknown)).toBe('private, no-cache, must-revalidate');
    expect(unknown.headers.etag).toBeUndefined();
    for (const answer of [registered, first, second]) {
      expect([answer.status, cacheControlOf(answer)]).toEqual([200, 'max-age=60, public']);
      expect(answer.bytes.toString()).toBe('{"data":{"things":[{"name":"zero"}]}}');
    }
    expect(second.headers.etag).toBe(first.headers.etag);
  });
});

describe('an answer that depends on a header handed on', () => {
  const { keep, get } = startedIn({ NODE_ENV: 'production', FORWARD_HEADERS: 'authorization,x-tenant' });

  it('a response is not stored if a forwarded header was sent, and Vary names that header if it was not', async () => {
    keep('max-age=60');
    const [plain, forwarded] = [await get(fromOne), await get(fromOne, { 'x-tenant': 'a' })];

    expect(cacheControlOf(plain)).toBe('max-age=60, public');
    expect([cacheControlOf(forwarded), forwarded.headers.etag]).toEqual(['private, no-store', undefined]);
    expect(varies(plain)).toEqual(['accept', 'accept-encoding', 'authorization', 'origin', 'x-tenant']);
  });
});
