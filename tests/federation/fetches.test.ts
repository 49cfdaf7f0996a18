import { describe, expect, it } from '@jest/globals';
import { withSupergraph, type Supergraph } from './support/supergraph.js';

/** Returns each entity that a subgraph was asked for, once for each time. */
const askedOf = (supergraph: Supergraph, subgraph: string): readonly string[] =>
  supergraph.subgraphs[subgraph]?.seen
    .flatMap(({ variables }) => (variables['representations'] ?? []) as readonly Record<string, unknown>[])
    .map(({ __typename, ...key }) => `${String(__typename)} ${Object.values(key).join()}`)
    .sort() ?? [];

const documentsOf = (supergraph: Supergraph, subgraph: string): readonly string[] =>
  supergraph.subgraphs[subgraph]?.seen.map(({ query }) => query) ?? [];

describe('an entity that stands at several places of an operation', () => {
  const people = { 1: 'Ann', 2: 'Bob', 3: 'Cid' } as Readonly<Record<string, string>>;
  const books = [1, 2, 3].map((n) => ({ isbn: `b${n}`, author: { id: String(n) } }));
  let failing: string | undefined;
  const supergraph = withSupergraph({
    people: {
      sdl: `type Query { me: Person! people: [Person!]! }
        type Person @key(fields: "id") { id: ID! name: String email: String }`,
      resolvers: {
        Query: { me: () => ({ id: '1' }), people: () => [{ id: '1' }, { id: '2' }] },
        Person: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          name: ({ id }: { id: string }) => {
            if (failing !== id) return people[id];
            failing = undefined;
            throw new Error('once');
          },
          email: ({ id }: { id: string }) => `${id}@example.org`,
        },
      },
    },
    books: {
      sdl: `type Query { books: [Book!]! }
        type Book @key(fields: "isbn") { isbn: ID! author: Person }
        type Person @key(fields: "id") { id: ID! books: [Book!]! favourite: Person }`,
      resolvers: {
        Query: { books: () => books },
        Person: {
          books: ({ id }: { id: string }) => books.filter(({ author }) => author.id === id),
          favourite: ({ id }: { id: string }) => ({ id: String((Number(id) % 3) + 1) }),
        },
      },
    },
    prices: {
      sdl: 'type Book @key(fields: "isbn") { isbn: ID! price: Int editor: Person } type Person @key(fields: "id") { id: ID! }',
      resolvers: {
        Book: {
          price: ({ isbn }: { isbn: string }) => Number(isbn.slice(1)),
          editor: ({ isbn }: { isbn: string }) => ({ id: isbn.slice(1) }),
        },
      },
    },
  });

  it('is asked for once, though its two places are reached at different times', async () => {
    supergraph.forget();
    const { data, errors } = await supergraph.ask(
      '{ books { author { name } editor { name favourite { name } } } }',
    );
    expect(errors).toBeUndefined();
    expect(data).toEqual({
      books: [
        { author: { name: 'Ann' }, editor: { name: 'Ann', favourite: { name: 'Bob' } } },
        { author: { name: 'Bob' }, editor: { name: 'Bob', favourite: { name: 'Cid' } } },
        { author: { name: 'Cid' }, editor: { name: 'Cid', favourite: { name: 'Ann' } } },
      ],
    });
    expect(askedOf(supergraph, 'people')).toEqual(['Person 1', 'Person 2', 'Person 3']);
  });

  it('is not asked for if a field of the query has returned what is missing', async () => {
    supergraph.forget();
    const { data } = await supergraph.ask('{ people { id name books { author { name } } } }');
    expect(data).toEqual({
      people: [
        { id: '1', name: 'Ann', books: [{ author: { name: 'Ann' } }] },
        { id: '2', name: 'Bob', books: [{ author: { name: 'Bob' } }] },
      ],
    });
    expect(askedOf(supergraph, 'people')).toEqual([]);
  });

  it('is asked for the fields that the subgraph has not returned', async () => {
    supergraph.forget();
    const { data } = await supergraph.ask('{ me { name books { author { name email } } } }');
    expect(data).toEqual({
      me: { name: 'Ann', books: [{ author: { name: 'Ann', email: '1@example.org' } }] },
    });
    expect(askedOf(supergraph, 'people')).toEqual(['Person 1']);
  });

  it('is asked for again after its field has failed', async () => {
    supergraph.forget();
    failing = '2';
    const { data, errors } = await supergraph.ask(
      '{ books { author { name } editor { favourite { name } } } }',
    );
    expect(errors?.map(({ path }) => path)).toEqual([['books', 1, 'author', 'name']]);
    expect(data).toEqual({
      books: [
        { author: { name: 'Ann' }, editor: { favourite: { name: 'Bob' } } },
        { author: { name: null }, editor: { favourite: { name: 'Cid' } } },
        { author: { name: 'Cid' }, editor: { favourite: { name: 'Ann' } } },
      ],
    });
  });

  it('may stand below itself', async () => {
    const { data, errors } = await supergraph.ask(
      '{ me { books { author { favourite { favourite { favourite { name books { price author { name } } } } } } } } }',
    );
    expect(errors).toBeUndefined();
    const ann = { name: 'Ann', books: [{ price: 1, author: { name: 'Ann' } }] };
    expect(data).toEqual({
      me: { books: [{ author: { favourite: { favourite: { favourite: ann } } } }] },
    });
    const { data: nested } = await supergraph.ask(
      '{ books { editor { books { price editor { books { editor { name } } } } } } }',
    );
    expect(nested).toEqual({
      books: ['Ann', 'Bob', 'Cid'].map((name, index) => ({
        editor: { books: [{ price: index + 1, editor: { books: [{ editor: { name } }] } }] },
      })),
    });
  });

  it('has at each place the fields that were asked for there', async () => {
    const { text } = await supergraph.ask(
      '{ people { id name email books { author { name ... on Person { id } } } } books { author { name } } }',
    );
    expect(text).toBe(
      '{"data":{"people":[{"id":"1","name":"Ann","email":"1@example.org","books":[{"author":{"name":"Ann","id":"1"}}]},{"id":"2","name":"Bob","email":"2@example.org","books":[{"author":{"name":"Bob","id":"2"}}]}],"books":[{"author":{"name":"Ann"}},{"author":{"name":"Bob"}},{"author":{"name":"Cid"}}]}}',
    );
  });
});

describe('a fetch', () => {
  let release: () => void = () => undefined;
  let arrived: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const key = '@key(fields: "id") { id: ID!';
  const answer = (name: string) => ({ Item: { [name]: () => name } });
  const supergraph = withSupergraph({
    items: {
      sdl: `type Query { item: Item } type Item ${key} }`,
      resolvers: { Query: { item: () => ({ id: '1' }) } },
    },
    slow: {
      sdl: `type Item ${key} slow: String }`,
      resolvers: { Item: { slow: () => held.then(() => 'slow') } },
    },
    quick: { sdl: `type Item ${key} quick: String }`, resolvers: answer('quick') },
    both: {
      sdl: `type Item ${key} slow: String @external quick: String @external both: String @requires(fields: "slow quick") }`,
      resolvers: answer('both'),
    },
    after: {
      sdl: `type Item ${key} quick: String @external after: String @requires(fields: "quick") }`,
      resolvers: {
        Item: {
          after: () => {
            arrived();
            return 'after';
          },
        },
      },
    },
  });

  it('starts when its inputs are there, while others that it does not need are under way', async () => {
    const answered = supergraph.ask('{ item { slow quick both after } }');
    await arrival;
    expect(documentsOf(supergraph, 'both')).toEqual([]);
    release();
    expect((await answered).data).toEqual({
      item: { slow: 'slow', quick: 'quick', both: 'both', after: 'after' },
    });
  });
});
