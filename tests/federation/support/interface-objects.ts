import type { WorldRules } from './world.js';

/**
 * A supergraph with two interfaces that are interface objects in other subgraphs. Those add fields that
 * require fields of the interface, in a chain through two subgraphs and with two keys.
 */
export const interfaceObjects: Readonly<Record<string, string>> = {
  media: `
    type Query { media: Media allMedia: [Media] search: [Hit] owner: Owner video: Video }
    union Hit = Video | Article | Book
    type Book @key(fields: "id") { id: ID! pages: Int about: Media }
    interface Media @key(fields: "id") @key(fields: "sku") { id: ID! sku: String! title: String owner: Owner }
    type Video implements Media @key(fields: "id") @key(fields: "sku") {
      id: ID! sku: String! title: String owner: Owner length: Int
    }
    type Article implements Media @key(fields: "id") @key(fields: "sku") {
      id: ID! sku: String! title: String owner: Owner words: Int
    }
    interface Owner @key(fields: "id") { id: ID! name: String }
    type Person implements Owner @key(fields: "id") { id: ID! name: String age: Int }
    type Company implements Owner @key(fields: "id") { id: ID! name: String staff: [Person] }`,
  authors: `
    type Video @key(fields: "id") { id: ID! author(short: Boolean): String }
    type Article @key(fields: "sku") { sku: String! author: String }
    type Person @key(fields: "id") { id: ID! nick: String wrote: Article }`,
  lists: `
    type Query { list: List lists: [List] }
    type List @key(fields: "id") { id: ID! media: Media first: Media! all: [[Media]] owner: Owner }
    type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }
    type Owner @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
  notes: `
    type Query { noted: [Media] }
    type Media @key(fields: "id") @interfaceObject {
      id: ID!
      title: String @external
      owner: Owner @external
      note(style: Int): String @requires(fields: "title")
      by: String @requires(fields: "owner { name }")
      plain: Int
    }
    type Owner @key(fields: "id") @interfaceObject {
      id: ID!
      name: String @external
      badge: String @requires(fields: "name")
      favourite: Media
    }`,
  ratings: `
    type Media @key(fields: "sku") @interfaceObject {
      sku: String!
      note(style: Int): String @external
      score: String @requires(fields: "note(style: 1)")
      related: [Media!]
    }`,
};

/** How the data of {@link interfaceObjects} are made: a reference to an interface object has its type. */
export const interfaceObjectRules: WorldRules = {
  keys: ['Video.sku', 'Article.sku', 'Media.sku'],
  requires: Object.fromEntries([
    ...['Video', 'Article', 'Media'].flatMap((type) => [
      [`${type}.note`, 'title'],
      [`${type}.by`, 'owner { name }'],
      [`${type}.score`, 'note(style: 1)'],
    ]),
    ...['Person', 'Company', 'Owner'].map((type) => [`${type}.badge`, 'name']),
  ]) as Record<string, string>,
};
