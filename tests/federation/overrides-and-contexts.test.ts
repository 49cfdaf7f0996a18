import { describe, expect, it } from '@jest/globals';
import { executor, withSupergraph } from './support/supergraph.js';

interface Reference {
  readonly id: string;
}

const asReference = { __resolveReference: (reference: Reference) => reference };

const moved = (from: string, label: string) => ({
  a: {
    sdl: 'type Query { items: [Item!]! } type Item @key(fields: "id") { id: ID! price: String }',
    resolvers: {
      Query: { items: () => [{ id: '1' }] },
      Item: { ...asReference, price: () => 'a' },
    },
  },
  b: {
    sdl: `type Item @key(fields: "id") { id: ID! price: String @override(from: "${from}", label: "${label}") }`,
    resolvers: { Item: { ...asReference, price: () => 'b' } },
  },
});

const inOwn = executor === 'own' ? describe : describe.skip;

inOwn('a progressive @override', () => {
  const sources = async (supergraph: ReturnType<typeof withSupergraph>, count: number) => {
    const counts = { a: 0, b: 0 };
    for (let n = 0; n < count; n += 1) {
      const { data } = await supergraph.ask('{ items { price } }');
      const [item] = (data as { items: { price: 'a' | 'b' }[] }).items;
      counts[item?.price ?? 'a'] += 1;
    }
    return counts;
  };
  const never = withSupergraph(moved('a', 'percent(0)'));
  const always = withSupergraph(moved('a', 'percent(100)'));
  const half = withSupergraph(moved('a', 'percent(50)'));
  const off = withSupergraph(moved('a', 'new-prices'));
  const on = withSupergraph(moved('a', 'new-prices'), { OVERRIDE_LABELS: 'other,new-prices' });

  it('of 0 and of 100 percent is never and always on', async () => {
    expect(await sources(never, 20)).toEqual({ a: 20, b: 0 });
    expect(await sources(always, 20)).toEqual({ a: 0, b: 20 });
  });

  it('of 50 percent is drawn for each request, and one request has one source', async () => {
    const { a, b } = await sources(half, 60);
    expect(a).toBeGreaterThan(5);
    expect(b).toBeGreaterThan(5);
    for (let n = 0; n < 10; n += 1) {
      const { data } = await half.ask('{ x: items { price } y: items { price p: price } }');
      expect(new Set(JSON.stringify(data).match(/"[ab]"/g)).size).toBe(1);
    }
  });

  it('of another label is on if OVERRIDE_LABELS has the label', async () => {
    expect(await sources(off, 3)).toEqual({ a: 3, b: 0 });
    expect(await sources(on, 3)).toEqual({ a: 0, b: 3 });
  });
});

inOwn('@context and @fromContext', () => {
  const supergraph = withSupergraph({
    a: {
      sdl: `
        type Query { shop: Shop shops: [Shop] }
        type Shop @key(fields: "id") { id: ID! currency: String }`,
      resolvers: {
        Query: {
          shop: () => ({ id: 's1', currency: 'EUR' }),
          shops: () => [
            { id: 's1', currency: 'EUR' },
            null,
            { id: 's2', currency: null },
            { id: 's3', currency: 'USD' },
          ],
        },
      },
    },
    b: {
      sdl: `
        type Shop @key(fields: "id") @context(name: "shop") { id: ID! currency: String @external offers: [Offer!]! best: Offer }
        type Offer @key(fields: "id") {
          id: ID!
          price(in: String @fromContext(field: "$shop { currency }"), digits: Int = 2): String
        }`,
      resolvers: {
        Shop: { ...asReference, offers: () => [{ id: 'o1' }, { id: 'o2' }], best: () => ({ id: 'o1' }) },
        Offer: {
          ...asReference,
          price: ({ id }: Reference, { in: currency, digits }: { in?: string | null; digits: number }) =>
            `${id} ${currency} ${digits}`,
        },
      },
    },
  });

  it.each([
    [
      'the argument is the value of the context',
      '{ shop { offers { price } } }',
      { shop: { offers: [{ price: 'o1 EUR 2' }, { price: 'o2 EUR 2' }] } },
    ],
    [
      'an alias of the client does not change the context',
      '{ shop { currency: id best { price(digits: 3) p: price } } }',
      { shop: { currency: 's1', best: { price: 'o1 EUR 3', p: 'o1 EUR 2' } } },
    ],
    [
      'each object has the context of its own parent, and equal entities differ in it',
      '{ shops { id best { price } } }',
      {
        shops: [
          { id: 's1', best: { price: 'o1 EUR 2' } },
          null,
          { id: 's2', best: { price: 'o1 null 2' } },
          { id: 's3', best: { price: 'o1 USD 2' } },
        ],
      },
    ],
  ])('%s', async (_sentence, query, data) => {
    expect(JSON.parse((await supergraph.ask(query)).text)).toEqual({ data });
  });

  it('the argument does not exist for clients', async () => {
    expect((await supergraph.ask('{ shop { best { price(in: "USD") } } }')).status).toBe(400);
  });
});
