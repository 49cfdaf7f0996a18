import { describe, expect, it } from '@jest/globals';
import { parse } from 'graphql';
import { nobody, somebody, withProtected, type Asker } from './support/protected.js';

const typeOf = { __resolveType: ({ __typename }: { __typename: string }) => __typename };

const cat = {
  __typename: 'Cat',
  id: 'c',
  name: 'Tom',
  chip: 'chip of c',
  owner: { name: 'Ann', mail: 'a@x' },
};
const dog = {
  __typename: 'Dog',
  id: 'd',
  name: 'Rex',
  chip: 'chip of d',
  owner: { name: 'Bob', mail: 'b@x' },
};
const spy = { __typename: 'Spy', id: 's', name: 'Zed', chip: 'chip of s', owner: null };

describe('a field that the viewer may not see', () => {
  const supergraph = withProtected({
    pets: {
      sdl: `
        type Query {
          pet: Pet pets: [Pet]! strict: [Pet!]! node(id: ID!): Node hits: [Hit] dog: Dog owner: Owner spy: Spy
          grid: [[Owner!]]! day: Day mood: Mood moods: [Mood!]! vault: Vault @policy(policies: [["vault"]])
        }
        type Mutation {
          paint: String erase: String @requiresScopes(scopes: [["erase", "sure"], ["root"]])
          sell: Int! @authenticated
        }
        interface Node { id: ID! }
        interface Pet { name: String chip: String owner: Owner }
        type Cat implements Node & Pet { id: ID! name: String chip: String @authenticated owner: Owner }
        type Dog implements Node & Pet { id: ID! name: String chip: String owner: Owner tricks: Int! @authenticated }
        type Spy implements Node @authenticated { id: ID! name: String }
        union Hit = Cat | Spy
        type Owner { name: String! mail: String @requiresScopes(scopes: [["mail"]]) }
        scalar Day @authenticated
        enum Mood @policy(policies: [["moods"]]) { GOOD BAD }
        type Vault { gold: Int! @authenticated silver: Int }`,
      resolvers: {
        Query: {
          pet: () => cat,
          pets: () => [cat, null, dog],
          strict: () => [dog, cat],
          node: (_: unknown, { id }: { id: string }) => [cat, dog, spy].find((one) => one.id === id),
          hits: () => [cat, spy],
          dog: () => ({ ...dog, tricks: 3 }),
          owner: () => cat.owner,
          spy: () => spy,
          grid: () => [[cat.owner], null, [dog.owner, cat.owner]],
          day: () => 'monday',
          mood: () => 'GOOD',
          moods: () => ['GOOD'],
          vault: () => ({ gold: 1, silver: 2 }),
        },
        Mutation: { paint: () => 'painted', erase: () => 'erased', sell: () => 1 },
        Node: typeOf,
        Pet: typeOf,
        Hit: typeOf,
      },
    },
  });
  const fields = /\b(?:chip|tricks|mail|day|moods?|vault|gold|erase|sell)\b/;

  it.each<[string, string, unknown, string[]]>([
    ['a field', '{ owner { name mail } }', { owner: { name: 'Ann', mail: null } }, ['owner.mail']],
    ['an alias', '{ owner { name: mail } }', { owner: { name: null } }, ['owner.name']],
    ['an object alone', '{ owner { mail } }', { owner: { mail: null } }, ['owner.mail']],
    [
      'an interface whose types differ',
      '{ pets { name chip } }',
      { pets: [{ name: 'Tom', chip: null }, null, { name: 'Rex', chip: 'chip of d' }] },
      ['pets.0.chip'],
    ],
    [
      'an interface, under an alias',
      '{ pets { a: chip b: chip } }',
      { pets: [{ a: null, b: null }, null, { a: 'chip of d', b: 'chip of d' }] },
      ['pets.0.a', 'pets.0.b'],
    ],
    [
      'an inline fragment',
      '{ pets { ... on Cat { chip } ... on Pet { ... { name } } } }',
      { pets: [{ chip: null, name: 'Tom' }, null, { name: 'Rex' }] },
      ['pets.0.chip'],
    ],
    [
      'a named fragment',
      '{ pets { ...P } } fragment P on Pet { ...C name } fragment C on Cat { chip }',
      { pets: [{ chip: null, name: 'Tom' }, null, { name: 'Rex' }] },
      ['pets.0.chip'],
    ],
    [
      'an interface that many types implement',
      '{ node(id: "c") { ... on Pet { chip } } }',
      { node: { chip: null } },
      ['node.chip'],
    ],
    [
      'below an interface',
      '{ pet { owner { mail } } }',
      { pet: { owner: { mail: null } } },
      ['pet.owner.mail'],
    ],
    ['an object type', '{ spy { id } }', { spy: null }, ['spy']],
    ['an object type, behind an interface', '{ node(id: "s") { __typename id } }', { node: null }, ['node']],
    [
      'a member of a union',
      '{ hits { __typename ... on Cat { name } ... on Spy { name } } }',
      { hits: [{ __typename: 'Cat', name: 'Tom' }, null] },
      ['hits.1'],
    ],
    ['a scalar', '{ day owner { name } }', { day: null, owner: { name: 'Ann' } }, ['day']],
    ['an enum', '{ mood owner { name } }', { mood: null, owner: { name: 'Ann' } }, ['mood']],
    ['a root field', '{ vault { silver } }', { vault: null }, ['vault']],
    ['a field that is not null', '{ dog { name tricks } }', { dog: null }, ['dog.tricks']],
    ['a list that is not null', '{ owner { name } moods }', null, ['moods']],
    [
      'an object in lists of lists',
      '{ grid { name mail } }',
      {
        grid: [
          [{ name: 'Ann', mail: null }],
          null,
          [
            { name: 'Bob', mail: null },
            { name: 'Ann', mail: null },
          ],
        ],
      },
      ['grid.0.0.mail', 'grid.2.0.mail', 'grid.2.1.mail'],
    ],
  ])('is null, and not asked for: %s', async (_where, query, data, paths) => {
    supergraph.requests();
    const answer = await supergraph.ask(query, nobody);
    expect(answer.data).toEqual(data);
    expect(answer.errors).toEqual(paths.map((path) => [path, 'UNAUTHENTICATED']));
    const documents = supergraph.requests().map((request) => request.query);
    const allowed = documents.filter((document) => !/\.\.\. ?on Dog ?\{[^}]*chip/.test(document));
    expect(allowed.join().replaceAll(/__typename/g, '')).not.toMatch(fields);
  });

  it.each<[string, Asker, unknown]>([
    ['nobody', nobody, 'UNAUTHENTICATED'],
    ['somebody without them', somebody(), 'FORBIDDEN'],
    ['somebody with one of two', somebody(['erase', 'other']), 'FORBIDDEN'],
    ['somebody with both', somebody(['sure', 'erase']), undefined],
    ['somebody with the alternative', somebody(['root']), undefined],
  ])('needs all scopes of one list: %s', async (_who, asker, code) => {
    const { data, errors } = await supergraph.ask('mutation { a: paint erase b: paint }', asker);
    expect(data).toEqual({ a: 'painted', erase: code === undefined ? 'erased' : null, b: 'painted' });
    expect(errors).toEqual(code === undefined ? [] : [['erase', code]]);
  });

  it('is never executed in a mutation, and the others are', async () => {
    supergraph.requests();
    const { data, errors } = await supergraph.ask('mutation { paint sell }', nobody);
    expect(data).toBeNull();
    expect(errors).toEqual([['sell', 'UNAUTHENTICATED']]);
    expect(supergraph.requests().map(({ query }) => query)).toEqual(['mutation{paint}']);
  });

  it('needs the policies and what the type in the result needs', async () => {
    const query = '{ vault { gold silver } mood day }';
    expect((await supergraph.ask(query, somebody([], ['vault']))).data).toEqual({
      vault: { gold: 1, silver: 2 },
      mood: null,
      day: 'monday',
    });
    expect((await supergraph.ask(query, somebody([], ['moods']))).data).toEqual({
      vault: null,
      mood: 'GOOD',
      day: 'monday',
    });
  });

  it.each([
    [true, { owner: { mail: null } }],
    [false, { owner: { name: 'Ann' } }],
  ])('is subject to @include and @skip: %s', async (mail, data) => {
    const query = 'query($mail: Boolean!) { owner { mail @include(if: $mail) name @skip(if: $mail) } }';
    expect((await supergraph.ask(query, nobody, { mail })).data).toEqual(data);
  });

  it('does not change what introspection and __typename return', async () => {
    const { data, errors } = await supergraph.ask(
      '{ __typename __type(name: "Owner") { name } day }',
      nobody,
    );
    expect(data).toEqual({ __typename: 'Query', __type: { name: 'Owner' }, day: null });
    expect(errors).toHaveLength(1);
  });

  it('is named in the explanation, with its type', async () => {
    const { refused } = await supergraph.ask('{ pets { chip } owner { mail } }', nobody);
    expect(refused).toEqual(['Cat.chip', 'Owner.mail']);
    expect((await supergraph.ask('{ owner { mail } }', somebody(['mail']))).refused).toEqual([]);
  });

  it('is in the result of a viewer who has the right after it was refused to another one', async () => {
    const document = parse('{ owner { mail } }');
    const dataFor = async (asker: Asker): Promise<unknown> =>
      JSON.parse((await supergraph.execute(document, asker, {})).data.toString());
    expect(await dataFor(nobody)).toEqual({ owner: { mail: null } });
    expect(await dataFor(somebody(['mail']))).toEqual({ owner: { mail: 'a@x' } });
    expect(await dataFor(somebody(['other']))).toEqual({ owner: { mail: null } });
  });
});
