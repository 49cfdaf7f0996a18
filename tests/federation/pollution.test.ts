import { afterEach, describe, expect, it } from '@jest/globals';
import { loosely, raw } from './support/loose.js';
import { withSupergraph } from './support/supergraph.js';

describe('names of Object.prototype', () => {
  const names = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'isPrototypeOf', 'toJSON', 'then'];
  const supergraph = withSupergraph({
    a: {
      sdl: `type Query { constructor: valueOf toString: [valueOf!]! }
        type valueOf @key(fields: "hasOwnProperty") { hasOwnProperty: ID! constructor: String then: String }`,
      resolvers: {
        Query: {
          constructor: () => ({ hasOwnProperty: '1', constructor: 'c', then: 't' }),
          toString: () => [{ hasOwnProperty: '1', constructor: 'c', then: 't' }],
        },
      },
    },
    b: {
      sdl: `type valueOf @key(fields: "hasOwnProperty") {
        hasOwnProperty: ID!
        toString: String
        valueOf(constructor: String, toString: Int = 3): String
        isPrototypeOf: String
        toJSON: String
      }`,
      resolvers: {
        valueOf: {
          __resolveReference: ({ hasOwnProperty }: { hasOwnProperty: string }) => ({ hasOwnProperty }),
          toString: () => 's',
          valueOf: (_: unknown, args: object) => JSON.stringify(args),
          isPrototypeOf: () => null,
          toJSON: () => 'j',
        },
      },
    },
  });

  it('are fields, types and arguments like any other', async () => {
    const one = {
      hasOwnProperty: '1',
      constructor: 'c',
      then: 't',
      toString: 's',
      valueOf: '{"toString":3,"constructor":"x"}',
      isPrototypeOf: null,
      toJSON: 'j',
    };
    const selection =
      '{ hasOwnProperty constructor then toString valueOf(constructor: "x") isPrototypeOf toJSON }';
    const { text } = await supergraph.ask(`{ constructor ${selection} toString ${selection} }`);
    const data = { constructor: one, toString: [one] };
    const inOtherOrder = text.replaceAll(
      JSON.stringify('{"constructor":"x","toString":3}'),
      JSON.stringify(one.valueOf),
    );
    expect(inOtherOrder).toBe(`{"data":${JSON.stringify(data, (_, value: unknown) => value)}}`);
  });

  it('are aliases and variables like any other', async () => {
    for (const name of names) {
      const { text } = await supergraph.ask(
        `query($${name}: String) { ${name}: constructor { ${name}: valueOf(constructor: $${name}) } }`,
        { [name]: 'x' },
      );
      expect(text).toMatch(new RegExp(`^\\{"data":\\{"${name}":\\{"${name}":"\\{.*x.*\\}"\\}\\}\\}$`));
    }
  });

  it('are null, and no function of the prototype, if a variable was left out', async () => {
    for (const name of names) {
      const { data } = await supergraph.ask(
        `query($${name}: String) { constructor { toString v: valueOf(constructor: $${name}) } }`,
        {},
      );
      expect(data).toEqual({ constructor: { toString: 's', v: '{"toString":3}' } });
    }
  });
});

describe('the name __proto__', () => {
  const polluting = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
  let inner = '';
  const supergraph = withSupergraph({
    a: {
      sdl: `scalar JSON
        type Query { item: Item json: JSON echo(value: JSON): JSON }
        type Item @key(fields: "id") { id: ID! name: String }`,
      answer: loosely(() => ({
        Query: {
          item: { __typename: 'Item', id: '1', name: 'n' },
          json: raw(polluting),
          echo: () => raw(polluting),
        },
      })),
    },
    b: {
      sdl: 'type Item @key(fields: "id") { id: ID! price: Int }',
      answer: () => inner,
    },
  });

  afterEach(() => {
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('is an ordinary alias', async () => {
    const { text } = await supergraph.ask('{ __proto__: item { __proto__: name polluted: id } }');
    expect(text).toBe('{"data":{"__proto__":{"__proto__":"n","polluted":"1"}}}');
  });

  it('is an ordinary alias of an entity that another subgraph continues', async () => {
    inner = '{"data":{"_entities":[{"__typename":"Item","price":3}]}}';
    const { text } = await supergraph.ask('{ __proto__: item { __proto__: id price } }');
    expect(text).toBe('{"data":{"__proto__":{"__proto__":"1","price":3}}}');
  });

  it('is refused as the name of a variable that has a value', async () => {
    const { status, errors } = await supergraph.send(
      '{"query":"query($__proto__: JSON) { echo(value: $__proto__) }","variables":{"__proto__":{"polluted":true}}}',
    );
    expect([status, errors?.[0]?.extensions]).toEqual([400, { code: 'BAD_REQUEST' }]);
  });

  it('passes within the value of a scalar', async () => {
    const { text } = await supergraph.ask('{ json }');
    expect(text).toBe(`{"data":{"json":${polluting}}}`);
  });

  it('changes nothing in the body of a hostile subgraph', async () => {
    for (const body of [
      '{"data":{"_entities":[{"__typename":"Item","price":3,"__proto__":{"polluted":true,"name":"other"}}]}}',
      '{"data":{"_entities":[{"__typename":"Item","price":3,"constructor":{"prototype":{"polluted":true}}}],"__proto__":{"polluted":true}}}',
      '{"__proto__":{"polluted":true},"data":{"_entities":[{"__typename":"Item","price":3}]},"extensions":{"__proto__":{"polluted":true}}}',
    ]) {
      inner = body;
      expect(await supergraph.ask('{ item { name price } }')).toMatchObject({
        status: 200,
        data: { item: { name: 'n', price: 3 } },
      });
    }
  });

  it('is no path into the prototype in an error of a hostile subgraph', async () => {
    for (const path of [
      '["__proto__","polluted"]',
      '["_entities","__proto__","polluted"]',
      '["_entities",0,"__proto__","polluted"]',
      '["_entities",0,"constructor","prototype"]',
    ]) {
      inner = `{"data":{"_entities":[{"__typename":"Item","price":null}]},"errors":[{"message":"no","path":${path},"extensions":{"code":"FORBIDDEN","__proto__":{"polluted":true}}}]}`;
      const { status, data, errors } = await supergraph.ask('{ item { name price } }');
      expect([status, data]).toEqual([200, { item: { name: 'n', price: null } }]);
      expect(errors).toHaveLength(1);
      expect(errors?.[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
    }
  });
});
