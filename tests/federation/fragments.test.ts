import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

const person = { __typename: 'Person', id: 'p' };

describe('one entity below two members of a union', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { hits: [Hit!]! works: [Work!]! }
        union Hit = Book | Film
        interface Work { by: Person title: String }
        type Book implements Work { by: Person title: String }
        type Film implements Work { by: Person title: String length: Int }
        type Person @key(fields: "id") { id: ID! }`,
      resolvers: {
        Query: {
          hits: () => [
            { __typename: 'Book', by: person, title: 'B' },
            { __typename: 'Film', by: person, title: 'F', length: 90 },
          ],
          works: () => [
            { __typename: 'Book', by: person, title: 'B' },
            { __typename: 'Film', by: person, title: 'F', length: 90 },
          ],
        },
      },
    },
    b: {
      sdl: 'type Person @key(fields: "id") { id: ID! bio(length: Int): String age: Int friend(of: Int): Person }',
      resolvers: {
        Person: {
          __resolveReference: (reference: object) => reference,
          bio: (_: unknown, { length }: { length?: number }) => `bio${length}`,
          age: () => 40,
          friend: (_: unknown, { of }: { of?: number }) => ({ id: `friend${of}` }),
        },
      },
    },
  });
  const fragments =
    'fragment B on Book { by { bio(length: 10) } } fragment F on Film { by { bio(length: 20) } }';

  it.each<[string, string, unknown, Record<string, unknown>?]>([
    [
      'has in each the arguments of its own fragment',
      `{ hits { ...B ...F } } ${fragments}`,
      { hits: [{ by: { bio: 'bio10' } }, { by: { bio: 'bio20' } }] },
    ],
    [
      'has in each implementation of an interface the arguments of its own fragment',
      `{ works { ...F ...B title } } ${fragments}`,
      {
        works: [
          { by: { bio: 'bio10' }, title: 'B' },
          { by: { bio: 'bio20' }, title: 'F' },
        ],
      },
    ],
    [
      'has in each the variable of its own fragment',
      'query($a: Int, $b: Int) { hits { ... on Book { by { bio(length: $a) } } ... on Film { by { bio(length: $b) } } } }',
      { hits: [{ by: { bio: 'bio1' } }, { by: { bio: 'bio2' } }] },
      { a: 1, b: 2 },
    ],
    [
      'has in each its own arguments if a fragment has a condition that is true',
      `query($x: Boolean!) { hits { ...B ...F @include(if: $x) } } ${fragments}`,
      { hits: [{ by: { bio: 'bio10' } }, { by: { bio: 'bio20' } }] },
      { x: true },
    ],
    [
      'is left out where a fragment has a condition that is false',
      `query($x: Boolean!) { hits { ...B ...F @include(if: $x) } } ${fragments}`,
      { hits: [{ by: { bio: 'bio10' } }, {}] },
      { x: false },
    ],
    [
      'has one alias for different arguments and none',
      '{ hits { ... on Book { by { x: bio(length: 1) } } ... on Film { by { x: bio } } } }',
      { hits: [{ by: { x: 'bio1' } }, { by: { x: 'bioundefined' } }] },
    ],
    [
      'has in each only the fields of its own fragment',
      '{ hits { ... on Book { by { bio(length: 1) } } ... on Film { by { age } } } }',
      { hits: [{ by: { bio: 'bio1' } }, { by: { age: 40 } }] },
    ],
    [
      'leads in each to the object of its own arguments',
      '{ hits { ... on Book { by { friend(of: 1) { id age } } } ... on Film { by { friend(of: 2) { id } } } } }',
      { hits: [{ by: { friend: { id: 'friend1', age: 40 } } }, { by: { friend: { id: 'friend2' } } }] },
    ],
    [
      'has one alias for an object and other fields of the object',
      '{ hits { ... on Book { p: by { id } } ... on Film { p: by { x: age } } } }',
      { hits: [{ p: { id: 'p' } }, { p: { x: 40 } }] },
    ],
    [
      'has different fields under one alias, if their types are alike',
      '{ hits { ... on Book { x: title } ... on Film { x: title } } works { ... on Film { x: length } title } }',
      { hits: [{ x: 'B' }, { x: 'F' }], works: [{ title: 'B' }, { x: 90, title: 'F' }] },
    ],
    [
      'is found in a fragment on the interface within a fragment on the union',
      '{ hits { ... on Work { title by { age } } ... on Film { length } } }',
      {
        hits: [
          { title: 'B', by: { age: 40 } },
          { title: 'F', by: { age: 40 }, length: 90 },
        ],
      },
    ],
  ])('%s', async (...[, query, data, variables]) => {
    expect(JSON.parse((await supergraph.ask(query, variables)).text)).toEqual({ data });
  });
});

describe('an interface object', () => {
  const media: Readonly<Record<string, { __typename: string; id: string; title: string }>> = {
    b1: { __typename: 'Book', id: 'b1', title: 'B' },
    f1: { __typename: 'Film', id: 'f1', title: 'F' },
  };
  const resolved = { __resolveReference: ({ id }: { id: string }) => media[id] ?? null };
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { all: [Media!] }
        interface Media @key(fields: "id") { id: ID! title: String! }
        type Book implements Media @key(fields: "id") { id: ID! title: String! pages: Int }
        type Film implements Media @key(fields: "id") { id: ID! title: String! }`,
      resolvers: {
        Query: { all: () => Object.values(media) },
        Media: { __resolveType: ({ __typename }: { __typename: string }) => __typename, ...resolved },
        Book: { ...resolved, pages: () => 100 },
        Film: resolved,
      },
    },
    b: {
      sdl: `
        type Query { top: [Media!]! }
        type Media @key(fields: "id") @interfaceObject {
          id: ID!
          review: Int!
          note(lang: String = "en"): String
          next: Media
        }`,
      resolvers: {
        Query: { top: () => [{ id: 'f1' }, { id: 'b1' }] },
        Media: {
          __resolveReference: ({ id }: { id: string }) => ({ id }),
          review: ({ id }: { id: string }) => (id === 'b1' ? 5 : 4),
          note: ({ id }: { id: string }, { lang }: { lang: string }) => `${id}-${lang}`,
          next: ({ id }: { id: string }) => (id === 'b1' ? { id: 'f1' } : null),
        },
      },
    },
    c: {
      sdl: `
        type Query { saved: [Media!]! }
        type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
      resolvers: { Query: { saved: () => [{ id: 'b1' }, { id: 'f1' }] } },
    },
  });

  it.each([
    [
      'has its type outside of and within a fragment',
      '{ top { __typename title ... on Book { __typename review } } }',
      {
        top: [
          { __typename: 'Film', title: 'F' },
          { __typename: 'Book', title: 'B', review: 5 },
        ],
      },
    ],
    [
      'has its type, of which its subgraph knows nothing',
      '{ top { __typename ... on Book { __typename review } } }',
      { top: [{ __typename: 'Film' }, { __typename: 'Book', review: 5 }] },
    ],
    [
      'has its type within a fragment alone',
      '{ top { ... on Book { __typename review } } }',
      { top: [{}, { __typename: 'Book', review: 5 }] },
    ],
    [
      'is the object of the interface in another subgraph',
      '{ all { title ... on Book { __typename review } } }',
      { all: [{ title: 'B', __typename: 'Book', review: 5 }, { title: 'F' }] },
    ],
    [
      'has the arguments of the fragment of its type',
      '{ top { ... on Book { n: note(lang: "de") } ... on Film { n: note } } }',
      { top: [{ n: 'f1-en' }, { n: 'b1-de' }] },
    ],
    [
      'has the fields of the fragment of its type',
      '{ top { ... on Book { n: note pages } ... on Film { title } } }',
      { top: [{ title: 'F' }, { n: 'b1-en', pages: 100 }] },
    ],
    [
      'has fields of its own',
      '{ all { review } top { id } }',
      { all: [{ review: 5 }, { review: 4 }], top: [{ id: 'f1' }, { id: 'b1' }] },
    ],
    [
      'leads to another one',
      '{ all { next { title ... on Film { note(lang: "fr") } } } }',
      { all: [{ next: { title: 'F', note: 'f1-fr' } }, { next: null }] },
    ],
    [
      'is resolved by the other subgraphs if its own cannot resolve it',
      '{ saved { __typename id title review ... on Book { pages note } } }',
      {
        saved: [
          { __typename: 'Book', id: 'b1', title: 'B', review: 5, pages: 100, note: 'b1-en' },
          { __typename: 'Film', id: 'f1', title: 'F', review: 4 },
        ],
      },
    ],
    [
      'is only narrowed to a type, in a subgraph that cannot resolve it',
      '{ saved { id ... on Book { pages } } }',
      { saved: [{ id: 'b1', pages: 100 }, { id: 'f1' }] },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });
});
