import { describe, expect, it } from '@jest/globals';
import { withSupergraph } from './support/supergraph.js';

const video = { __typename: 'Video', id: 'v', sku: 'sv', title: 'A', length: 90, owner: { id: 'p' } };
const article = { __typename: 'Article', id: 'a', sku: 'sa', title: 'B', words: 500, owner: { id: 'c' } };
const all = [video, article];
const person = { __typename: 'Person', id: 'p', name: 'P', age: 40 };
const company = { __typename: 'Company', id: 'c', name: 'C' };

type Reference = Readonly<Record<string, unknown>>;

const mediaOf = ({ id, sku }: Reference) => all.find((one) => one.id === id || one.sku === sku);
const ownerOf = ({ id }: Reference) => [person, company].find((one) => one.id === id);
const same = (reference: Reference) => reference;

/** Fails like a resolver that needs what the gateway must send. */
const needed = (value: unknown): string => {
  if (typeof value !== 'string') throw new Error('a required field is missing');
  return value;
};

/** Each field that an interface object adds here requires a field of its interface. */
describe('a field of an interface object that requires another field', () => {
  const supergraph = withSupergraph({
    media: {
      sdl: `type Query { media: Media search: [Hit] }
        union Hit = Video | Article | Book
        type Book { pages: Int }
        interface Media @key(fields: "id") @key(fields: "sku") { id: ID! sku: String! title: String owner: Owner }
        type Video implements Media @key(fields: "id") @key(fields: "sku") {
          id: ID! sku: String! title: String owner: Owner length: Int }
        type Article implements Media @key(fields: "id") @key(fields: "sku") {
          id: ID! sku: String! title: String owner: Owner words: Int }
        interface Owner @key(fields: "id") { id: ID! name: String }
        type Person implements Owner @key(fields: "id") { id: ID! name: String age: Int }
        type Company implements Owner @key(fields: "id") { id: ID! name: String }`,
      resolvers: {
        Query: { media: () => video, search: () => [...all, { __typename: 'Book', pages: 3 }] },
        Media: { __resolveReference: mediaOf },
        Video: { __resolveReference: mediaOf, owner: ({ owner }: typeof video) => ownerOf(owner) },
        Article: { __resolveReference: mediaOf, owner: ({ owner }: typeof video) => ownerOf(owner) },
        Owner: { __resolveReference: ownerOf },
        Person: { __resolveReference: ownerOf },
        Company: { __resolveReference: ownerOf },
      },
    },
    authors: {
      sdl: `type Video @key(fields: "id") { id: ID! author: String }
        type Article @key(fields: "sku") { sku: String! author: String }
        type Person @key(fields: "id") { id: ID! nick: String }`,
      resolvers: {
        Video: { __resolveReference: same, author: ({ id }: Reference) => `author of ${id as string}` },
        Article: { __resolveReference: same, author: ({ sku }: Reference) => `author of ${sku as string}` },
        Person: { __resolveReference: same, nick: () => 'nick' },
      },
    },
    lists: {
      sdl: `type Query { list: List }
        type List { media: Media! all: [[Media]] owner: Owner }
        type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }
        type Owner @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
      resolvers: {
        Query: {
          list: () => ({ media: { id: 'v' }, all: [[{ id: 'a' }, null], [{ id: 'v' }]], owner: { id: 'p' } }),
        },
      },
    },
    notes: {
      sdl: `type Media @key(fields: "id") @interfaceObject {
          id: ID!
          title: String @external
          owner: Owner @external
          note(style: Int = 0): String @requires(fields: "title")
          by: String @requires(fields: "owner { name }")
          plain: Int }
        type Owner @key(fields: "id") @interfaceObject {
          id: ID!
          name: String @external
          badge: String @requires(fields: "name")
          favourite: Media }`,
      resolvers: {
        Media: {
          __resolveReference: same,
          note: ({ title }: Reference, { style }: Reference) => `note ${String(style)} on ${needed(title)}`,
          plain: () => 7,
          by: ({ owner }: Reference) => `by ${needed((owner as Reference | undefined)?.['name'])}`,
        },
        Owner: {
          __resolveReference: same,
          badge: ({ name }: Reference) => `badge of ${needed(name)}`,
          favourite: () => ({ id: 'a' }),
        },
      },
    },
    scores: {
      sdl: `type Media @key(fields: "sku") @interfaceObject {
          sku: String!
          note(style: Int = 0): String @external
          score: String @requires(fields: "note(style: 1)") }`,
      resolvers: {
        Media: { __resolveReference: same, score: ({ note }: Reference) => `score of ${needed(note)}` },
      },
    },
  });

  it.each([
    [
      'is right in two fragments on types, of which one applies',
      '{ list { media { ... on Video { length note } ... on Article { words note } } } }',
      { list: { media: { length: 90, note: 'note 0 on A' } } },
    ],
    [
      'is right in nested lists of several types',
      '{ list { all { ... on Video { note author } ... on Article { by author } } } }',
      {
        list: {
          all: [
            [{ by: 'by C', author: 'author of sa' }, null],
            [{ note: 'note 0 on A', author: 'author of v' }],
          ],
        },
      },
    ],
    [
      'is right under an alias, and with two sets of arguments',
      '{ list { media { ... on Video { title: note(style: 2) id: note(style: 3) note } } } }',
      { list: { media: { title: 'note 2 on A', id: 'note 3 on A', note: 'note 0 on A' } } },
    ],
    [
      'is right inside and beside a fragment on a type',
      '{ list { media { note(style: 4) by ... on Video { note(style: 4) by author } } } }',
      { list: { media: { note: 'note 4 on A', by: 'by P', author: 'author of v' } } },
    ],
    [
      'is right where it requires a field of another interface object',
      '{ list { media { ... on Video { score author } } } }',
      { list: { media: { score: 'score of note 1 on A', author: 'author of v' } } },
    ],
    [
      'is right below an interface object in a fragment on a type of another one',
      '{ list { owner { ... on Person { badge nick favourite { ... on Article { note words score } } } } } }',
      {
        list: {
          owner: {
            badge: 'badge of P',
            nick: 'nick',
            favourite: { note: 'note 0 on B', words: 500, score: 'score of note 1 on B' },
          },
        },
      },
    ],
    [
      'is right in fragments within fragments',
      '{ list { media { ... on Media { ... on Video { ... on Media { note ... on Video { by } } } } } } }',
      { list: { media: { note: 'note 0 on A', by: 'by P' } } },
    ],
    [
      'is right on the members of a union',
      '{ search { ... on Video { note } ... on Article { note words } ... on Book { pages } } }',
      { search: [{ note: 'note 0 on A' }, { note: 'note 0 on B', words: 500 }, { pages: 3 }] },
    ],
    [
      'is absent from the types whose fragment does not have it',
      '{ search { ... on Media { title ... on Video { note } } } }',
      { search: [{ title: 'A', note: 'note 0 on A' }, { title: 'B' }, {}] },
    ],
    [
      'is right where each of two types is asked for another one',
      '{ search { ... on Video { by } ... on Article { note(style: 2) } } }',
      { search: [{ by: 'by P' }, { note: 'note 2 on B' }, {}] },
    ],
    [
      'is right on one type beside a field of all types',
      '{ search { ... on Video { by } ... on Media { plain } } }',
      { search: [{ by: 'by P', plain: 7 }, { plain: 7 }, {}] },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });

  it.each([
    [true, { note: 'note 0 on A', author: 'author of v' }],
    [false, { author: 'author of v' }],
  ])('is right in a fragment on a type with @include(if: %s)', async (on, media) => {
    const query = `query ($on: Boolean!, $off: Boolean!) {
      list { media { ... on Video { note @include(if: $on) author ... @skip(if: $on) { by @include(if: $off) } } } } }`;
    expect((await supergraph.ask(query, { on, off: false })).data).toEqual({ list: { media } });
  });
});
