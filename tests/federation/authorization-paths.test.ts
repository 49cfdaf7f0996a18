import { describe, expect, it } from '@jest/globals';
import { nobody, protecting, somebody, withProtected, type Asker } from './support/protected.js';
import { withSupergraph } from './support/supergraph.js';

interface Reference {
  readonly id: string;
}

const asReference = { __resolveReference: (reference: Reference) => reference };

describe('a field whose value comes from fields that the viewer may not see', () => {
  const shop = {
    a: {
      sdl: `
        type Query { item: Item shop: Shop }
        type Item @key(fields: "id") @key(fields: "serial") {
          id: ID! serial: ID! @policy(policies: [["serials"]])
          weight: Int @authenticated size: Size
        }
        type Size @shareable { height: Int @requiresScopes(scopes: [["sizes"]]) }
        type Shop @key(fields: "id") { id: ID! currency: String @authenticated }`,
      resolvers: {
        Query: {
          item: () => ({ id: '1', serial: 's1', weight: 5, size: { height: 7 } }),
          shop: () => ({ id: 's', currency: 'EUR' }),
        },
        Item: { ...asReference, weight: () => 5, size: () => ({ height: 7 }), serial: () => 's1' },
        Shop: { ...asReference, currency: () => 'EUR' },
      },
    },
    b: {
      sdl: `
        type Item @key(fields: "serial") {
          serial: ID! @policy(policies: [["serials"]])
          weight: Int @external size: Size @external
          postage: String @requires(fields: "weight") @authenticated
          box: String @requires(fields: "size { height }") @requiresScopes(scopes: [["sizes"]])
          stock: Int
        }
        type Size @shareable { height: Int @requiresScopes(scopes: [["sizes"]]) }
        type Shop @key(fields: "id") @context(name: "shop") {
          id: ID! currency: String @external offer: Offer
        }
        type Offer @key(fields: "id") {
          id: ID! price(in: String @fromContext(field: "$shop { currency }")): String @authenticated
        }`,
      resolvers: {
        Item: {
          ...asReference,
          postage: ({ weight }: { weight?: number }) => `for ${weight}`,
          box: ({ size }: { size?: { height?: number } }) => `for ${size?.height}`,
          stock: () => 4,
        },
        Shop: { ...asReference, offer: () => ({ id: 'o' }) },
        Offer: { ...asReference, price: (_: unknown, args: { in?: string }) => `1 ${args.in}` },
      },
    },
    c: {
      sdl: `
        type Item @key(fields: "id") {
          id: ID! postage: String @external
          label: String @requires(fields: "postage") @authenticated
        }`,
      resolvers: {
        Item: { ...asReference, label: ({ postage }: { postage?: string }) => `label ${postage}` },
      },
    },
  };
  /** Composition refuses a supergraph in which the field itself is not protected; an older one did not. */
  const unprotected = (supergraph: string): string =>
    supergraph.replaceAll(
      /^( +(?:postage|box|price|label)\b.*?) @(?:authenticated|requiresScopes\(.*\))$/gm,
      '$1',
    );
  const strict = withProtected(shop);
  const older = withProtected(shop, { rewrite: unprotected });

  describe.each([
    ['and which is protected like them', strict],
    ['in a supergraph that does not say so', older],
  ] as const)('%s', (_which, supergraph) => {
    it.each<[string, string, Asker, string, unknown]>([
      ['@requires', 'nobody', nobody, '{ item { stock postage } }', { item: { stock: 4, postage: null } }],
      ['@requires', 'a viewer', somebody(), '{ item { postage } }', { item: { postage: 'for 5' } }],
      ['@requires through another', 'nobody', nobody, '{ item { label } }', { item: { label: null } }],
      [
        '@requires through another',
        'a viewer',
        somebody(),
        '{ item { label } }',
        { item: { label: 'label for 5' } },
      ],
      ['@requires below an object', 'a viewer', somebody(), '{ item { box } }', { item: { box: null } }],
      [
        '@requires below an object',
        'a scope',
        somebody(['sizes']),
        '{ item { box } }',
        { item: { box: 'for 7' } },
      ],
      [
        '@fromContext',
        'nobody',
        nobody,
        '{ shop { offer { price } } }',
        { shop: { offer: { price: null } } },
      ],
      [
        '@fromContext',
        'a viewer',
        somebody(),
        '{ shop { offer { price } } }',
        { shop: { offer: { price: '1 EUR' } } },
      ],
    ])('%s gives %s a value only if those fields may be seen', async (_how, _who, asker, query, data) => {
      supergraph.requests();
      expect((await supergraph.ask(query, asker)).data).toEqual(data);
      const isRefused = JSON.stringify(data).includes('null');
      const documents = supergraph
        .requests()
        .map(({ query }) => query)
        .join();
      if (isRefused) expect(documents).not.toMatch(/weight|height|currency|postage|box|price|label/);
    });
  });

  it('a key that the viewer may not see joins entities, and is not shown', async () => {
    const { data, errors } = await strict.ask('{ item { serial stock } }', somebody());
    expect(data).toEqual({ item: null });
    expect(errors).toEqual([['item.serial', 'FORBIDDEN']]);
    expect((await strict.ask('{ item { stock } }', somebody())).data).toEqual({ item: { stock: 4 } });
  });
});

describe('an interface object', () => {
  const types = { b1: 'Book', b2: 'Book', f1: 'Film' } as const;
  const typeOf = { __resolveType: ({ id }: { id: keyof typeof types }) => types[id] };
  const supergraph = withProtected({
    media: {
      sdl: `
        type Query { media: [Media!]! }
        interface Media @key(fields: "id") { id: ID! title: String }
        type Book implements Media @key(fields: "id") { id: ID! title: String }
        type Film implements Media @key(fields: "id") @requiresScopes(scopes: [["films"]]) { id: ID! title: String }`,
      resolvers: {
        Query: { media: () => [{ id: 'b1' }, { id: 'b2' }] },
        Media: { ...asReference, ...typeOf },
        Book: { title: ({ id }: Reference) => `T ${id}` },
        Film: { title: ({ id }: Reference) => `T ${id}` },
      },
    },
    saved: {
      sdl: `
        type Query { saved: [Media] }
        type Media @key(fields: "id", resolvable: false) @interfaceObject { id: ID! }`,
      resolvers: { Query: { saved: () => [{ id: 'b1' }, { id: 'f1' }] } },
    },
    ratings: {
      sdl: `
        type Query { best: [Media] }
        type Media @key(fields: "id") @interfaceObject {
          id: ID! stars(of: Int = 5): Int note: String @authenticated
        }`,
      resolvers: {
        Query: { best: () => [{ id: 'f1' }, { id: 'b2' }] },
        Media: {
          ...asReference,
          stars: (_: unknown, { of }: { of: number }) => of - 1,
          note: ({ id }: Reference) => `N ${id}`,
        },
      },
    },
  });

  it.each([
    ['best', 0, 'b2'],
    ['saved', 1, 'b1'],
  ])('gives objects of %s fields only if the viewer may see their type', async (field, film, id) => {
    supergraph.requests();
    const answer = await supergraph.ask(`{ ${field} { id x: stars(of: 10) title note } }`, nobody);
    const book = { id, x: 9, title: `T ${id}`, note: null };
    expect(answer.data).toEqual({ [field]: film === 0 ? [null, book] : [book, null] });
    expect(new Set(answer.errors.map(([path]) => path))).toEqual(
      new Set([`${field}.${film}`, `${field}.${1 - film}.note`]),
    );
    const requests = supergraph.requests();
    expect(requests.map(({ query }) => query).join()).not.toMatch(/\bnote\b/);
    // No film was asked for its stars.
    const rated = requests.filter(({ query }) => query.includes('stars'));
    expect(JSON.stringify(rated.map(({ variables }) => variables))).not.toContain('f1');
  });

  it('is whole for a viewer with all rights', async () => {
    expect((await supergraph.ask('{ saved { id stars note } }', somebody(['films']))).data).toEqual({
      saved: [
        { id: 'b1', stars: 4, note: 'N b1' },
        { id: 'f1', stars: 4, note: 'N f1' },
      ],
    });
  });
});

describe('a gateway whose supergraph protects fields', () => {
  const definitions = {
    a: {
      sdl: `${protecting} type Query { open: Int closed: Int @authenticated }`,
      resolvers: { Query: { open: () => 1, closed: () => 2 } },
    },
  };
  const supergraph = withSupergraph(definitions, { EXECUTOR: 'own' });

  it('returns the code and the path of a field that the viewer may not see', async () => {
    const { status, data, errors } = await supergraph.ask('{ open mine: closed }');
    expect(status).toBe(200);
    expect(data).toEqual({ open: 1, mine: null });
    expect(errors).toEqual([
      {
        message: 'This needs a viewer. Sign in and ask again.',
        path: ['mine'],
        extensions: { code: 'UNAUTHENTICATED' },
      },
    ]);
    expect(supergraph.subgraphs['a']?.seen.map(({ query }) => query)).toEqual(['{open}']);
  });
});
