import { beforeEach, describe, expect, it } from '@jest/globals';
import { claimsOf, issuers, tokenOf } from '../../gateway/test/support/tokens.js';
import { formats, merged, stream, type Format, type Payload } from './support/parts.js';
import { protecting } from './support/protected.js';
import { withSupergraph } from './support/supergraph.js';

const movies = [
  { id: '1', title: 'Alien' },
  { id: '2', title: 'Brazil' },
];
const typeOf = { __resolveType: ({ __typename }: { __typename: string }) => __typename };
const cat = { __typename: 'Cat', name: 'Tom', chip: 'chip of Tom' };
const dog = { __typename: 'Dog', name: 'Rex', chip: 'chip of Rex' };
const spy = { __typename: 'Spy', name: 'Zed' };

const subgraphs = {
  movies: {
    sdl: `${protecting}
      type Query { movies: [Movie!] movie: Movie secret: Int @authenticated pets: [Pet] hits: [Hit] }
      type Mutation { rename: Movie }
      type Movie @key(fields: "id") { id: ID! title: String }
      interface Pet { name: String chip: String }
      type Cat implements Pet { name: String chip: String @authenticated }
      type Dog implements Pet { name: String chip: String }
      type Spy @authenticated { name: String }
      union Hit = Cat | Spy`,
    resolvers: {
      Query: {
        movies: () => movies,
        movie: () => movies[0],
        secret: () => 1,
        pets: () => [cat, dog],
        hits: () => [spy, cat],
      },
      Mutation: { rename: () => movies[0] },
      Movie: { __resolveReference: ({ id }: { id: string }) => movies.find((movie) => movie.id === id) },
      Pet: typeOf,
      Hit: typeOf,
    },
  },
  ratings: {
    sdl: `${protecting}
      type Query { ratings: Int }
      type Movie @key(fields: "id") {
        id: ID! rating: Int votes: Int! @authenticated gross: Int @requiresScopes(scopes: [["gross"]])
        review: Review
        reviews: [Opinion!]
      }
      type Review @authenticated { text: String }
      type Opinion { text: String author: String @authenticated likes: Int! @authenticated }`,
    resolvers: {
      Movie: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        rating: ({ id }: { id: string }) => Number(id) * 10,
        votes: () => 7,
        gross: ({ id }: { id: string }) => Number(id) * 1_000,
        review: () => ({ text: 'good' }),
        reviews: () => [{ text: 'fine', author: 'Ann', likes: 3 }],
      },
    },
  },
};

/** The headers of somebody who is signed in and has these scopes. */
const signedIn = (...scopes: readonly string[]) => ({
  authorization: `Bearer ${tokenOf(claimsOf({ scope: scopes.join(' ') }))}`,
});

const refusedFields = /\b(?:secret|votes|gross|review|author|likes)\b/;

describe.each(formats)('a deferred field that the viewer may not see, in the format %s', (format) => {
  const supergraph = withSupergraph(subgraphs, { JWT_ISSUERS: issuers });
  beforeEach(() => supergraph.forget());

  const open = (query: string, headers: Record<string, string> = {}) =>
    stream(supergraph.url, query, { format, headers });
  const all = async (query: string, headers?: Record<string, string>) => (await open(query, headers)).rest();
  /** Returns what the subgraphs were asked. */
  const asked = () =>
    Object.values(supergraph.subgraphs).flatMap(({ seen }) => seen.map(({ query }) => query));

  it('is null in its part, with an error there, and is not fetched', async () => {
    const query = '{ all: movies { title ... @defer(label: "r") { stars: rating money: gross } } }';
    const payloads = await all(query);

    expect(payloads[0]).toMatchObject({ data: { all: [{ title: 'Alien' }, { title: 'Brazil' }] } });
    expect(payloads[0]?.errors).toBeUndefined();
    expect(partsOf(payloads, format)).toEqual([
      part(['all', 0], { stars: 10, money: null }, [['all.0.money', 'UNAUTHENTICATED']]),
      part(['all', 1], { stars: 20, money: null }, [['all.1.money', 'UNAUTHENTICATED']]),
    ]);
    expect(asked().join()).not.toMatch(refusedFields);
  });

  it('depends on the rights of each viewer, though they send one document', async () => {
    const query = '{ movie { id ... @defer { gross } } }';
    const outcomeFor = async (headers?: Record<string, string>) => partsOf(await all(query, headers), format);
    const refusedWith = (code: string) => [part(['movie'], { gross: null }, [['movie.gross', code]])];
    const seen = [part(['movie'], { gross: 1_000 }, [])];

    expect(await outcomeFor()).toEqual(refusedWith('UNAUTHENTICATED'));
    expect(await outcomeFor(signedIn('gross'))).toEqual(seen);
    expect(await outcomeFor(signedIn('other'))).toEqual(refusedWith('FORBIDDEN'));
    expect(await outcomeFor()).toEqual(refusedWith('UNAUTHENTICATED'));
    expect(await outcomeFor(signedIn('gross'))).toEqual(seen);
  });

  it('removes its part and nothing else if it is not null', async () => {
    const query =
      '{ movies { id ... @defer(label: "v") { title votes } ... @defer(label: "r") { rating } } }';
    const payloads = await all(query);
    const failed = partsOf(payloads, format).filter(({ data }) => data === null);

    expect(failed).toEqual([
      part(['movies', 0], null, [['movies.0.votes', 'UNAUTHENTICATED']]),
      part(['movies', 1], null, [['movies.1.votes', 'UNAUTHENTICATED']]),
    ]);
    expect(merged(payloads).data).toEqual({
      movies: [
        { id: '1', rating: 10 },
        { id: '2', rating: 20 },
      ],
    });
    expect(asked().join()).not.toMatch(refusedFields);
  });

  it('removes the value above it in its part that may be null', async () => {
    const payloads = await all('{ movie { id ... @defer { rating reviews { text likes } } } }');

    expect(partsOf(payloads, format)).toEqual([
      part(['movie'], { rating: 10, reviews: null }, [['movie.reviews.0.likes', 'UNAUTHENTICATED']]),
    ]);
  });

  it.each<[what: string, query: string, data: unknown, path: string[], ofPart: unknown, errors: string[]]>([
    [
      'of an entity',
      '{ movie { id ... @defer { gross review { text } } } }',
      { movie: { id: '1' } },
      ['movie'],
      { gross: null, review: null },
      ['movie.gross', 'movie.review'],
    ],
    ['of the operation', '{ ... @defer { secret } }', {}, [], { secret: null }, ['secret']],
    [
      'of a mutation',
      'mutation { rename { id ... @defer { gross } } }',
      { rename: { id: '1' } },
      ['rename'],
      { gross: null },
      ['rename.gross'],
    ],
    [
      'of an object with nothing else',
      '{ movie { ... @defer { gross } } }',
      { movie: {} },
      ['movie'],
      { gross: null },
      ['movie.gross'],
    ],
  ])('has its part if everything in the fragment is refused: %s', async (_what, query, ...expected) => {
    const [data, path, ofPart, errors] = expected;
    const payloads = await all(query);

    expect(payloads[0]?.data).toEqual(data);
    expect(partsOf(payloads, format)).toEqual([
      part(
        path,
        ofPart,
        errors.map((one) => [one, 'UNAUTHENTICATED']),
      ),
    ]);
    expect(supergraph.subgraphs['ratings']?.seen).toEqual([]);
  });

  it('is null on those types of an interface on which it is refused', async () => {
    const payloads = await all('{ pets { name ... @defer { chip } } }');

    expect(partsOf(payloads, format)).toEqual([
      part(['pets', 0], { chip: null }, [['pets.0.chip', 'UNAUTHENTICATED']]),
      part(['pets', 1], { chip: 'chip of Rex' }, []),
    ]);
  });

  it('has no part if the viewer may not see its object', async () => {
    const payloads = await all(
      '{ hits { __typename ... @defer { ... on Cat { name } ... on Spy { name } } } }',
    );

    expect(payloads[0]).toMatchObject({
      data: { hits: [null, { __typename: 'Cat' }] },
      errors: [{ path: ['hits', 0], extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(partsOf(payloads, format)).toEqual([part(['hits', 1], { name: 'Tom' }, [])]);
  });

  it('has no part if a field of the first part, which is refused and not null, removes its object', async () => {
    expect(await all('{ movie { votes ... @defer { rating } } }')).toMatchObject([
      { data: { movie: null }, errors: [{ path: ['movie', 'votes'] }], hasNext: false },
    ]);
  });

  it('is null in a part of a part', async () => {
    const payloads = await all(
      '{ movie { id ... @defer(label: "a") { reviews { text ... @defer(label: "b") { author } } } } }',
    );

    expect(partsOf(payloads, format)).toEqual([
      part(['movie'], { reviews: [{ text: 'fine' }] }, []),
      part(['movie', 'reviews', 0], { author: null }, [['movie.reviews.0.author', 'UNAUTHENTICATED']]),
    ]);
  });

  it('is named by the explanation in the first part, beside the cost of all parts', async () => {
    const response = await open('{ movies { title ... @defer { rating gross } } }', { 'x-explain': '1' });
    const [first] = await response.rest();

    expect(first?.extensions).toMatchObject({
      cost: { estimated: 10, actual: 2 },
      explain: { refused: ['Movie.gross'], plan: expect.stringContaining('Defer') },
    });
  });

  it('leaves the headers of the response as they are for other operations', async () => {
    const { headers } = await open('{ movie { title ... @defer { gross } } }');

    expect(headers.get('ratelimit')).toMatch(/^"cost";r=\d+;t=\d+$/);
    expect(headers.get('ratelimit-policy')).toContain('"cost"');
    expect(headers.get('vary')).toContain('Authorization');
    expect(headers.get('cache-control')).toBe('no-store');
  });
});

describe.each(formats)('deferred introspection of what the viewer may see, in the format %s', (format) => {
  const supergraph = withSupergraph(subgraphs, { JWT_ISSUERS: issuers, INTROSPECTION: 'visible' });

  it('has a hidden type for those only who may see it', async () => {
    const query = '{ ... @defer { __type(name: "Review") { name } } }';
    const all = async (headers: Record<string, string>) =>
      merged(await (await stream(supergraph.url, query, { format, headers })).rest()).data;

    expect(await all({})).toEqual({ __type: null });
    expect(await all(signedIn())).toEqual({ __type: { name: 'Review' } });
  });

  it('is not helped by suggestions', async () => {
    const query = '{ movies { ... @defer { titel } } }';
    const [first] = await (await stream(supergraph.url, query, { format })).rest();

    expect(first?.errors?.[0]?.message).toBe('Cannot query field "titel" on type "Movie".');
  });
});

/** A part as a client sees it, in either format: each error as its path and its code. */
interface Part {
  readonly path: readonly (string | number)[];
  readonly data: unknown;
  readonly errors: readonly (readonly [path: string, code: unknown])[];
}

const part = (path: Part['path'], data: unknown, errors: Part['errors']): Part => ({ path, data, errors });

/** Returns the parts of a response, by their paths and then in the order in which they came. */
const partsOf = (payloads: readonly Payload[], format: Format): Part[] => {
  const paths = new Map<string | undefined, Part['path']>();
  const parts: Part[] = [];
  for (const { pending = [], incremental = [], completed = [] } of payloads) {
    for (const { id, path } of pending) paths.set(id, path);
    // In the format with ids, a part that a null has removed is completed without data.
    const removed = completed.filter(({ errors }) => errors).map((one) => ({ ...one, data: null }));
    for (const { data, errors = [], ...one } of [...incremental, ...removed]) {
      const path =
        (format === 'incrementalSpec=v0.2' ? paths.get(one.id) : 'path' in one ? one.path : undefined) ?? [];
      const codes = errors.map(
        (error) => [(error.path ?? []).join('.'), error.extensions?.['code']] as const,
      );
      parts.push({ path, data, errors: codes });
    }
  }
  return parts.sort((a, b) => a.path.join().localeCompare(b.path.join()));
};
