import { describe, expect, it } from '@jest/globals';
import { buildSchema, parse } from 'graphql';
import { readClientFields } from './client-fields.js';

const schema = buildSchema(`
  type Query { me: Person people: [Person!] named: Named anything: Anything }
  type Mutation { reset: Boolean }
  interface Named { name: String mood: String }
  interface Moody { mood: String }
  type Person implements Named & Moody { name: String mood: String friends: [Person!] }
  type Place implements Named { name: String mood: String }
  type Thing { mood: String }
  union Anything = Person | Thing
`);

const entities = (selections: string) =>
  `query($representations: [_Any!]!) { _entities(representations: $representations) { ${selections} } }`;

describe('readClientFields', () => {
  const dependsOnClient = readClientFields(schema, ['Query.me', 'Person.mood']);

  it.each([
    '{ me { name } }',
    '{ people { name friends { mood } } }',
    '{ named { mood } }',
    '{ anything { ...on Moody { mood } } }',
    '{ people { ...F } } fragment F on Person { mood }',
    'mutation { reset }',
    entities('...on Person { mood }'),
    entities('...on Named { mood }'),
    entities('...on Unknown { name }'),
    '{ unknown { name } }',
  ])('%s depends on the client', (document) => {
    expect(dependsOnClient(parse(document))).toBe(true);
  });

  it.each([
    '{ __typename people { name } }',
    '{ me: people { mood: name } }',
    '{ named { ...on Place { mood } } anything { ...on Thing { mood } } }',
    entities('...on Person { __typename name friends { name } }'),
  ])('%s does not depend on the client', (document) => {
    expect(dependsOnClient(parse(document))).toBe(false);
  });

  it('every document depends on the client if no fields are listed', () => {
    expect(readClientFields(schema, [])(parse('{ people { name } }'))).toBe(true);
  });
});
