import type { WorldRules } from './world.js';

/** A supergraph of four subgraphs that uses the directives of federation, and types of every kind. */
export const everyDirective: Readonly<Record<string, string>> = {
  items: `
    scalar JSON
    type Query {
      item(id: ID): Item
      items(first: Int = 2): [Item!]!
      media: Media
      allMedia(kind: Kind): [Media]
      search(filter: Filter): [Hit!]
      nested: [[Item]!]
      node(id: ID!): Node
      now: String @shareable
      strict: Strict!
    }
    type Mutation { change(id: ID!, title: String): Item! reset(all: Boolean): Int }
    enum Kind { BOOK FILM SONG }
    enum Unit { MIN SEC }
    enum Currency { EUR USD }
    input Filter { text: String kinds: [Kind!] sub: Filter limit: Int = 3 json: JSON }
    interface Node { id: ID! }
    interface Media implements Node @key(fields: "id") { id: ID! title: String owner: Person related(first: Int): [Media!] }
    type Book implements Media & Node @key(fields: "id") {
      id: ID! title: String owner: Person related(first: Int): [Media!] pages: Int!
    }
    type Film implements Media & Node @key(fields: "id") {
      id: ID! title: String owner: Person related(first: Int): [Media!] length(unit: Unit = MIN): Float
    }
    union Hit = Item | Book | Person | Note
    type Note { text: String! tags: [[String!]] about: Item }
    type Item implements Node @key(fields: "id") @key(fields: "sku") @key(fields: "ref { code }") @tag(name: "item") {
      id: ID!
      sku: String!
      title(lang: String): String
      price(currency: Currency! = EUR): Int
      size: Size @shareable
      ref: Ref! @shareable
      tags: [String]
      kind: Kind
      owner: Person!
      secret: String @inaccessible
      related: [Item]
      json(path: JSON): JSON
      old: String
    }
    type Size @shareable { w: Int h(scale: Float = 1.0): Float unit: String! }
    type Ref @shareable { code: ID! }
    type Person @key(fields: "id") { id: ID! }
    type Strict { a: Int! b: Strict c: [Int!]! item: Item! }`,
  prices: `
    type Query {
      best: Item @provides(fields: "size { w unit }")
      top: [Media!]!
      person(id: ID!): Person
      now: String @shareable
    }
    type Mutation { review(item: ID!, body: String): Review! }
    enum Currency { EUR USD }
    type Item @key(fields: "sku") {
      sku: String!
      size: Size @external
      price(currency: Currency! = EUR): Int @external
      label: String @requires(fields: "size { w }")
      tag: String @requires(fields: "price(currency: USD)")
      stock(at: String): Int
      reviews(first: Int): [Review!]!
      old: String @override(from: "items")
    }
    type Size @external { w: Int unit: String! }
    type Media @key(fields: "id") @interfaceObject {
      id: ID!
      rating: Float
      note(lang: String = "en"): String
      next: Media
    }
    type Review { id: ID! body: String author: Person! of: Item media: Media rating: Int! }
    type Person @key(fields: "id") { id: ID! name: String! nick(short: Boolean): String email: String }`,
  people: `
    type Query { everyone(first: Int = 3): [Person] home: Address! now: String @shareable }
    type Item @key(fields: "ref { code }") {
      ref: Ref! @shareable
      owner: Person! @external
      ownerName: String @requires(fields: "owner { name }")
      stars(min: Int): [Int!]
      size: Size @shareable
    }
    type Size @shareable { w: Int h(scale: Float = 1.0): Float unit: String! }
    type Ref @shareable { code: ID! }
    type Person @key(fields: "id") {
      id: ID!
      name: String! @external
      friends(first: Int = 2): [Person!]
      home: Address
      favourite: Liked
      email: String @override(from: "prices", label: "percent(50)")
    }
    union Liked = Item | Person
    type Address { street: String! city(lang: String): String lines: [[String]!] owner: Person }`,
  lists: `
    type Query { saved: [Media] hidden: Hidden @inaccessible }
    type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }
    type Hidden @inaccessible { x: Int }
    type Item @key(fields: "id", resolvable: false) { id: ID! }
    type Person @key(fields: "id") { id: ID! lists: [[Media!]] items: [Item!] }`,
};

/** How the data of {@link everyDirective} are made. */
export const everyDirectiveRules: WorldRules = {
  keys: ['Item.sku', 'Ref.code'],
  stable: ['ref'],
  requires: {
    'Item.label': 'size { w }',
    'Item.tag': 'price(currency: USD)',
    'Item.ownerName': 'owner { name }',
  },
};
