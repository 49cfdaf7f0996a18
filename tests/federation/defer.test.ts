import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { formats, merged, stream, type Format, type Payload } from './support/parts.js';
import { withSupergraph } from './support/supergraph.js';

interface Movie {
  readonly __typename?: string;
  readonly id: string;
}

const movies = [
  { __typename: 'Movie', id: '1', title: 'Alien' },
  { __typename: 'Movie', id: '2', title: 'Brazil' },
];

/** Lets the subgraph of ratings answer only when it is called, if it is set. */
let release: (() => void) | undefined;
let held: Promise<void> | undefined;
const hold = (): void => {
  held = new Promise((resolve) => {
    release = () => {
      held = undefined;
      resolve();
    };
  });
};

afterEach(() => release?.());

const subgraphs = {
  movies: {
    sdl: `
      type Query { movies(first: Int): [Movie!] movie(id: ID!): Movie node: Node plain: Plain strict: [Strict!] }
      type Mutation { rename(title: String!): Movie }
      interface Node { id: ID! }
      type Movie implements Node @key(fields: "id") { id: ID! title: String }
      type Person implements Node @key(fields: "id") { id: ID! name: String }
      type Strict { movie: Movie! fails: Int! }
      type Plain { x: Int y: Int }`,
    resolvers: {
      Query: {
        movies: (_: unknown, { first }: { first?: number }) => movies.slice(0, first),
        movie: (_: unknown, { id }: Movie) => movies.find((movie) => movie.id === id) ?? null,
        node: () => movies[0],
        plain: () => ({ x: 1, y: 2 }),
        strict: () => [{ movie: movies[0] }, { movie: movies[1], fails: 1 }],
      },
      Mutation: { rename: (_: unknown, { title }: { title: string }) => ({ ...movies[0], title }) },
      Movie: { __resolveReference: ({ id }: Movie) => movies.find((movie) => movie.id === id) },
      Node: { __resolveType: ({ __typename = '' }: Movie) => __typename },
    },
  },
  ratings: {
    sdl: `
      type Query { best: Movie }
      type Movie @key(fields: "id") {
        id: ID! rating(scale: Int = 10): Float votes: Int! broken: String never: String! reviews: [Review!]
      }
      scalar Big
      type Review @key(fields: "id") { id: ID! text: String big: Big }`,
    resolvers: {
      Query: { best: () => ({ id: '2' }) },
      Movie: {
        __resolveReference: ({ id }: Movie) => ({ id }),
        rating: ({ id }: Movie, { scale }: { scale: number }) => Number(id) * scale,
        votes: ({ id }: Movie) => (id === '2' ? null : 7),
        broken: () => {
          throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
        },
        reviews: ({ id }: Movie) => [{ id: `r${id}`, text: `about ${id}`, big: 'big' }],
      },
      Review: { __resolveReference: (review: Movie) => review },
    },
    answer: async (_: unknown, execute: () => Promise<unknown>) => {
      await held;
      return JSON.stringify(await execute()).replaceAll('"big":"big"', '"big":12345678901234567890123');
    },
  },
  authors: {
    sdl: 'type Query { a: Int } type Review @key(fields: "id") { id: ID! author: String }',
    resolvers: {
      Review: { __resolveReference: (review: Movie) => review, author: ({ id }: Movie) => `author of ${id}` },
    },
  },
};

const nested = `{
  list: movies { name: title
    ... @defer(label: "ratings") { rating reviews { id ... on Review @defer(label: "authors") { by: author } } } }
}`;

const expectedOf: Record<Format, Payload[]> = {
  'deferSpec=20220824': [
    { data: { list: [{ name: 'Alien' }, { name: 'Brazil' }] }, hasNext: true },
    {
      hasNext: true,
      incremental: [
        { data: { rating: 10, reviews: [{ id: 'r1' }] }, path: ['list', 0], label: 'ratings' },
        { data: { rating: 20, reviews: [{ id: 'r2' }] }, path: ['list', 1], label: 'ratings' },
      ],
    },
    {
      hasNext: false,
      incremental: [
        { data: { by: 'author of r1' }, path: ['list', 0, 'reviews', 0], label: 'authors' },
        { data: { by: 'author of r2' }, path: ['list', 1, 'reviews', 0], label: 'authors' },
      ],
    },
  ],
  'incrementalSpec=v0.2': [
    {
      data: { list: [{ name: 'Alien' }, { name: 'Brazil' }] },
      pending: [
        { id: '0', path: ['list', 0], label: 'ratings' },
        { id: '1', path: ['list', 1], label: 'ratings' },
      ],
      hasNext: true,
    },
    {
      hasNext: true,
      pending: [
        { id: '2', path: ['list', 0, 'reviews', 0], label: 'authors' },
        { id: '3', path: ['list', 1, 'reviews', 0], label: 'authors' },
      ],
      incremental: [
        { data: { rating: 10, reviews: [{ id: 'r1' }] }, id: '0' },
        { data: { rating: 20, reviews: [{ id: 'r2' }] }, id: '1' },
      ],
      completed: [{ id: '0' }, { id: '1' }],
    },
    {
      hasNext: false,
      incremental: [
        { data: { by: 'author of r1' }, id: '2' },
        { data: { by: 'author of r2' }, id: '3' },
      ],
      completed: [{ id: '2' }, { id: '3' }],
    },
  ],
};

describe.each(formats)('@defer in the format %s', (format) => {
  const supergraph = withSupergraph(subgraphs);
  const open = (query: string, variables: Readonly<Record<string, unknown>> = {}) =>
    stream(supergraph.url, query, { format, variables });
  const all = async (query: string, variables: Readonly<Record<string, unknown>> = {}) =>
    (await open(query, variables)).rest();

  it('delivers lists, nested fragments and labels as the format says', async () => {
    const response = await open(nested);

    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(`multipart/mixed; boundary="-"; ${format}`);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.rest()).toEqual(expectedOf[format]);
  });

  it('sends the first part before the deferred subgraph has answered', async () => {
    hold();
    const response = await open('{ movie(id: "1") { title ... @defer { rating } } }');

    expect(await response.next()).toMatchObject({ data: { movie: { title: 'Alien' } }, hasNext: true });
    release?.();
    expect(await response.rest()).toMatchObject([
      { hasNext: false, incremental: [{ data: { rating: 10 } }] },
    ]);
  });

  it('asks the deferred subgraph while another one still holds up the first part', async () => {
    hold();
    const query = '{ movies { rating ... @defer(label: "late") { title } } }';
    supergraph.forget();
    const opening = open(query);
    await until(
      () => supergraph.subgraphs['movies']?.seen.some(({ query }) => query.includes('title')) === true,
    );
    release?.();

    expect(merged(await (await opening).rest())).toMatchObject({
      data: {
        movies: [
          { rating: 10, title: 'Alien' },
          { rating: 20, title: 'Brazil' },
        ],
      },
      labels: ['late', 'late'],
    });
  });

  it.each<[sentence: string, query: string, variables?: Readonly<Record<string, unknown>>]>([
    ['fragment spreads', '{ movies { ...F @defer } } fragment F on Movie { rating title }'],
    [
      'one fragment at two positions',
      '{ a: movie(id: "1") { ...F } b: movie(id: "2") { ...F } } fragment F on Movie { id ... @defer(label: "f") { rating title } }',
    ],
    [
      'aliases and arguments',
      'query($n: Int) { m: movie(id: "2") { title: rating(scale: 1) ... @defer { id: title rating(scale: $n) five: rating(scale: 5) } } }',
      { n: 3 },
    ],
    [
      'fields that are also in the first part',
      '{ movies { id title ... @defer { id title rating reviews { id } } reviews { text } } }',
    ],
    ['fields of the subgraph of the first part', '{ movies { id ... @defer { title } } }'],
    ['fields of a type without a key', '{ plain { x ... @defer { y } } }'],
    ['root fields', '{ plain { x } ... @defer { movies(first: 1) { title rating } best { id } } }'],
    ['the whole operation', '{ ... @defer { movies { title } } }'],
    [
      'an interface',
      '{ node { __typename ... @defer { id ... on Movie { rating } ... on Person { name } } } }',
    ],
    ['introspection', '{ ... @defer { __schema { queryType { name } } __typename } plain { x } }'],
    [
      'fragments with @skip and @include',
      'query($no: Boolean!) { movies { id ... @defer @include(if: $no) { rating } ... @skip(if: $no) @defer { reviews { id } } } }',
      { no: false },
    ],
    [
      'active and inactive fragments',
      'query($on: Boolean!, $off: Boolean = false) { movies { id ... @defer(if: $on) { rating } ... @defer(if: $off) { title } ... @defer(if: false) { reviews { id } } } }',
      { on: true },
    ],
    [
      'a condition without a value, which means true',
      'query($on: Boolean) { movies { id ... @defer(if: $on) { rating } } }',
    ],
  ])('brings together the same data as without @defer for %s', async (_sentence, query, variables = {}) => {
    const payloads = await all(query, variables);
    const plain = await supergraph.ask(
      query
        .replaceAll(/@defer(\([^)]*\))?/g, '')
        .replace(/, \$off.*?false|\$on: Boolean!?/g, '')
        .replace('query()', 'query'),
      variables,
    );

    expect(plain.errors).toBeUndefined();
    expect(payloads.length).toBeGreaterThan(1);
    expect(merged(payloads)).toMatchObject({ data: plain.data, errors: [] });
  });

  it('does not fetch a field later that the first part has', async () => {
    supergraph.forget();
    await all('{ movies { id title ... @defer { id title rating } } }');

    expect(supergraph.subgraphs['movies']?.seen.length).toBe(1);
  });

  it('returns one response without parts if no fragment is deferred', async () => {
    const response = await open('query($on: Boolean!) { movies { id ... @defer(if: $on) { rating } } }', {
      on: false,
    });

    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(await response.rest()).toEqual([
      {
        data: {
          movies: [
            { id: '1', rating: 10 },
            { id: '2', rating: 20 },
          ],
        },
        hasNext: false,
      },
    ]);
  });

  it('ends with the first part if no object has a deferred fragment', async () => {
    expect(await all('{ movie(id: "9") { id ... @defer { rating } } }')).toEqual([
      { data: { movie: null }, hasNext: false },
    ]);
  });

  it('delivers what a mutation returns in parts', async () => {
    const payloads = await all('mutation { rename(title: "New") { title ... @defer { rating } } }');

    expect(payloads[0]?.data).toEqual({ rename: { title: 'New' } });
    expect(merged(payloads).data).toEqual({ rename: { title: 'New', rating: 10 } });
  });

  it('reports errors of a part with the path of the client, and masks them as in the first part', async () => {
    const payloads = await all(
      '{ list: movies(first: 1) { id ... @defer(label: "x") { oops: broken rating } } }',
    );
    const { data, errors } = merged(payloads);

    expect(payloads[0]?.errors).toBeUndefined();
    expect(data).toEqual({ list: [{ id: '1', oops: null, rating: 10 }] });
    expect(errors).toEqual([
      { message: 'Internal error', path: ['list', 0, 'oops'], extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    ]);
  });

  it('removes only the part in which the schema does not accept a null', async () => {
    const payloads = await all('{ movies { id ... @defer { votes } ... @defer { rating } } }');
    const { data, errors } = merged(payloads);

    expect(data).toEqual({
      movies: [
        { id: '1', votes: 7, rating: 10 },
        { id: '2', rating: 20 },
      ],
    });
    expect(errors).toMatchObject([{ path: ['movies', 1, 'votes'] }]);
    const failed = format === 'deferSpec=20220824' ? { data: null, path: ['movies', 1] } : { id: '2' };
    const parts = payloads.flatMap(({ incremental, completed }) => [
      ...(incremental ?? []),
      ...(completed ?? []),
    ]);
    expect(parts.find((part) => part.errors)).toMatchObject(failed);
  });

  it.each([
    [
      'the first part',
      '{ movie(id: "1") { title } ... @defer(label: "b") { movie(id: "1") { never } } }',
      { movie: { title: 'Alien' } },
    ],
    [
      'another part',
      '{ ... @defer(label: "a") { movie(id: "1") { rating } } ... @defer(label: "b") { movie(id: "1") { never } } }',
      { movie: { rating: 10 } },
    ],
    [
      'the part around it',
      '{ ... @defer(label: "a") { movies(first: 1) { title } ... @defer(label: "b") { movies(first: 1) { never } } } }',
      { movies: [{ title: 'Alien' }] },
    ],
    [
      'another part, in a list and below other fields',
      '{ strict { movie { id } } ... @defer(label: "a") { strict { movie { title } } } ... @defer(label: "b") { plain { x } strict { movie { never } } } }',
      {
        plain: { x: 1 },
        strict: [{ movie: { id: '1', title: 'Alien' } }, { movie: { id: '2', title: 'Brazil' } }],
      },
    ],
  ])('has no null in a part for an object that %s has', async (_which, query, whole) => {
    const payloads = await all(query);
    const { data, errors } = merged(payloads);

    expect(data).toEqual(whole);
    expect(errors.map(({ path }) => path?.at(-1))).toContain('never');
  });

  it('has null in a part for an object that no other one has', async () => {
    const query =
      '{ movie(id: "1") { title } ... @defer { movie(id: "1") { id } other: movie(id: "1") { never } } }';
    expect(merged(await all(query)).data).toEqual({ movie: { title: 'Alien', id: '1' }, other: null });
  });

  it('announces no part of an object that a null has removed from the first part', async () => {
    const payloads = await all(
      '{ strict { movie { id ... @defer { rating } } fails } plain { x ... @defer { y } } }',
    );

    expect(payloads[0]).toMatchObject({
      data: { strict: null, plain: { x: 1 } },
      errors: [{ path: ['strict', 0, 'fails'] }],
    });
    expect(merged(payloads.slice(0, 2)).data).toEqual({ strict: null, plain: { x: 1, y: 2 } });
    expect(payloads.length).toBe(2);
  });

  it('keeps the digits of numbers in a part', async () => {
    const response = await fetch(`${supergraph.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: `multipart/mixed;${format}`,
        'accept-encoding': 'gzip, br',
      },
      body: JSON.stringify({ query: '{ movies { ... @defer { reviews { big } } } }' }),
    });

    expect(response.headers.get('content-encoding')).toBeNull();
    expect(await response.text()).toContain('12345678901234567890123');
  });

  it('aborts the fetches of the parts when the client leaves', async () => {
    let asked = false;
    let closed = false;
    supergraph.subgraphs['ratings']?.misbehave((response) => {
      asked = true;
      response.once('close', () => {
        closed = true;
      });
    });
    const response = await open('{ movies { id ... @defer { rating } } }');
    await response.next();
    await until(() => asked);
    response.leave();

    await until(() => closed);
    supergraph.subgraphs['ratings']?.misbehave(undefined);
  });

  it.each([
    [
      'a variable as label',
      'query($l: String) { movies { ... @defer(label: $l) { rating } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      'a label twice',
      '{ movies { ... @defer(label: "l") { rating } ... @defer(label: "l") { title } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      '@defer on root fields of a mutation',
      'mutation { ... @defer { rename(title: "x") { id } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['@defer on a field', '{ movies @defer { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    [
      'too many directives',
      `{ ${Array.from({ length: 201 }, () => '... @defer { plain { x } }').join(' ')} }`,
      'OPERATION_TOO_COMPLEX',
    ],
    [
      'lists that are too long',
      '{ ... @defer { movies(first: 20000) { reviews { id } } } }',
      'OPERATION_TOO_COMPLEX',
    ],
  ])('refuses %s before any part', async (_what, query, code) => {
    supergraph.forget();
    const response = await open(query);

    expect(await response.rest()).toMatchObject([{ errors: [{ extensions: { code } }] }]);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(Object.values(supergraph.subgraphs).flatMap(({ seen }) => seen)).toEqual([]);
  });
});

describe.each(formats)('@defer at the deadline in the format %s', (format) => {
  const supergraph = withSupergraph(subgraphs, { DEADLINE_MS: '1000' });

  it('ends with an error in the part that was not in time', async () => {
    hold();
    const query = '{ movies(first: 1) { id ... @defer { rating } } }';
    const payloads = await (await stream(supergraph.url, query, { format })).rest();
    release?.();

    expect(merged(payloads)).toMatchObject({
      data: { movies: [{ id: '1', rating: null }] },
      errors: [{ path: ['movies', 0, 'rating'], extensions: { code: 'DEADLINE_EXCEEDED' } }],
    });
  });

  it('ends with an error in the part whose subgraph cannot be reached, without its address', async () => {
    await supergraph.subgraphs['ratings']?.stop();
    const query = '{ movies(first: 1) { id ... @defer { rating } } }';
    const payloads = await (await stream(supergraph.url, query, { format })).rest();

    expect(merged(payloads).errors).toMatchObject([
      { path: ['movies', 0, 'rating'], extensions: { code: 'SUBGRAPH_UNAVAILABLE' } },
    ]);
    expect(JSON.stringify(payloads)).not.toMatch(/127\.0\.0\.1|ECONN|ratings/);
    await supergraph.subgraphs['ratings']?.restart();
  });
});

describe('@defer by what a client accepts', () => {
  const supergraph = withSupergraph(subgraphs);
  const post = (accept: string | undefined, query: string) =>
    fetch(`${supergraph.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(accept !== undefined && { accept }) },
      body: JSON.stringify({ query }),
    });

  it.each([
    undefined,
    '*/*',
    'application/json',
    'multipart/mixed',
    'multipart/mixed;deferSpec=20220824;q=0, */*',
    'multipart/mixed;deferSpec=1',
  ])('refuses @defer for %s with 406, before a subgraph is asked', async (accept) => {
    supergraph.forget();
    const response = await post(accept, '{ movies { id ... @defer { rating } } }');

    expect(response.status).toBe(406);
    if (accept !== 'multipart/mixed' && accept !== 'multipart/mixed;deferSpec=1')
      expect(await response.json()).toMatchObject({
        errors: [{ extensions: { code: 'DEFER_NOT_ACCEPTED' } }],
      });
    expect(supergraph.subgraphs['movies']?.seen).toEqual([]);
  });

  it.each<[accept: string, format: Format]>([
    ['multipart/mixed;deferSpec=20220824,application/json', 'deferSpec=20220824'],
    ['application/json, multipart/mixed; deferSpec="20220824"; q=0.5', 'deferSpec=20220824'],
    [
      'multipart/mixed;incrementalSpec=v0.2,application/graphql-response+json,application/json;q=0.9',
      'incrementalSpec=v0.2',
    ],
    [
      'multipart/mixed;deferSpec=20220824;q=0.4, Multipart/Mixed; IncrementalSpec=v0.2;q=0.8',
      'incrementalSpec=v0.2',
    ],
    ['multipart/mixed;incrementalSpec=v0.2, multipart/mixed;deferSpec=20220824', 'incrementalSpec=v0.2'],
  ])('answers %s in the format %s', async (accept, format) => {
    const response = await post(accept, '{ movies { id ... @defer { rating } } }');

    expect(response.headers.get('content-type')).toBe(`multipart/mixed; boundary="-"; ${format}`);
    expect(response.headers.get('vary')).toMatch(/\bAccept\b/);
    expect((await response.text()).endsWith('\r\n-----\r\n')).toBe(true);
  });
});
