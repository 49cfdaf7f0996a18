import { describe, expect, it } from '@jest/globals';
import {
  buildClientSchema,
  getIntrospectionQuery,
  parse,
  printSchema,
  type IntrospectionQuery,
} from 'graphql';
import { nobody, somebody, withProtected, type Asker } from './support/protected.js';

const sdl = `
  type Query { open: Int item: Item hits(by: Order): [Hit] any: Any empty: Empty film: Film admin(what: What): Admin }
  type Mutation { erase: Int @requiresScopes(scopes: [["erase"]]) }
  enum Order @authenticated { UP DOWN }
  input What { order: Order deep: Deep }
  input Deep { x: Int }
  interface Any { id: ID! title: String }
  type Item implements Any { id: ID! title: String @authenticated price: Int }
  type Film implements Any @requiresScopes(scopes: [["films"]]) { id: ID! title: String length: Length }
  scalar Length
  union Hit = Item | Film
  type Empty { secret: Int @authenticated }
  type Admin @requiresScopes(scopes: [["admin"]]) { name: String }`;

describe('introspection of what the viewer may see', () => {
  const visible = withProtected({ a: { sdl } }, { introspection: 'visible' });
  const whole = withProtected({ a: { sdl } });
  const shown = async (supergraph: typeof whole, asker: Asker): Promise<string> => {
    const { data } = await supergraph.execute(parse(getIntrospectionQuery()), asker, {});
    return printSchema(buildClientSchema(JSON.parse(data.toString()) as IntrospectionQuery)).replaceAll(
      /\s+/g,
      ' ',
    );
  };

  it('has no field and no type that nobody may see, and nothing that only these use', async () => {
    expect((await shown(visible, nobody)).split(/ (?=(?:type|union|interface|enum|input|scalar) )/)).toEqual(
      expect.arrayContaining([
        'type Query { open: Int item: Item hits(by: Order): [Hit] any: Any }',
        'enum Order { UP DOWN }',
        'interface Any { id: ID! }',
        'type Item implements Any { id: ID! price: Int }',
        'union Hit = Item',
      ]),
    );
    expect(await shown(visible, nobody)).not.toMatch(/Film|Admin|Empty|Mutation|What|Deep|Length|secret/);
  });

  it('has more for a viewer with more rights, in any order of asking', async () => {
    expect(await shown(visible, somebody())).toContain('interface Any { id: ID! title: String }');
    const text = await shown(visible, somebody(['erase', 'films', 'admin']));
    expect(text.split(' ').sort()).toEqual((await shown(whole, nobody)).split(' ').sort());
    expect(await shown(visible, nobody)).not.toContain('title');
    expect(await shown(visible, somebody(['films']))).toContain('scalar Length');
    expect(await shown(visible, somebody(['films']))).not.toContain('type Admin');
  });

  it('answers __type of a hidden type with null', async () => {
    const query = '{ __type(name: "Film") { name } }';
    expect((await visible.ask(query, nobody)).data).toEqual({ __type: null });
    expect((await whole.ask(query, nobody)).data).toEqual({ __type: { name: 'Film' } });
  });
});
