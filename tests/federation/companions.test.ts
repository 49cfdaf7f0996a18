import { describe, expect, it } from '@jest/globals';
import { withSupergraph, type Supergraph } from './support/supergraph.js';

const scores = new Map([
  ['1', 7],
  ['2', 8],
]);

let answer: 'entities' | 'refusal' | 'one place fails' | 'error without a path' = 'entities';

const definitions = {
  films: {
    sdl: `type Query { film(id: ID!): Film! best: [Film!]! }
      type Film @key(fields: "id") { id: ID! }`,
    resolvers: {
      Query: {
        film: (_: unknown, { id }: { id: string }) => ({ id }),
        best: () => [{ id: '2' }, { id: '1' }],
      },
    },
  },
  ratings: {
    sdl: `type Film @key(fields: "id") { id: ID! score(plus: Int = 0): Int votes: Int note: String }`,
    resolvers: {
      Film: {
        __resolveReference: ({ id }: { id: string }) => (id === 'bad' ? new Error('no such film') : { id }),
        score: ({ id }: { id: string }, { plus }: { plus: number }) =>
          scores.has(id) ? (scores.get(id) ?? 0) + plus : null,
        votes: ({ id }: { id: string }) => {
          if (answer === 'one place fails' && id === '1') throw new Error('no votes');
          return Number(id) * 100;
        },
        note: () => null,
      },
    },
    answer: async ({ query }: { query: string }, execute: () => Promise<object>) => {
      const aliases = query.split(':_entities(').length - 1;
      if (answer === 'refusal' && aliases > 0)
        return JSON.stringify({ errors: [{ message: 'too many aliases' }] });
      const result = await execute();
      const isFull = answer === 'error without a path' && query.includes('score');
      const more = isFull ? { errors: [{ message: 'the disk is full' }] } : {};
      return JSON.stringify({ ...result, ...more });
    },
  },
};

/** Returns the documents that ratings was asked, without the names of operations. */
const askedOf = ({ subgraphs }: Supergraph): readonly string[] =>
  subgraphs['ratings']?.seen.map(({ query }) => query.replace(/^query \w+/, 'query')) ?? [];

describe.each([
  ['shared with other requests', 'true'],
  ['of each request alone', 'false'],
])('fetches of entities that start together, %s', (_how, COALESCE) => {
  const supergraph = withSupergraph(definitions, { COALESCE });
  const ask: Supergraph['ask'] = (...args) => {
    supergraph.forget();
    return supergraph.ask(...args);
  };

  it('travel in one HTTP request, with an alias for each place', async () => {
    answer = 'entities';
    const { data, errors } = await ask('query Page { film(id: 1) { score } best { id votes } }');
    expect(errors).toBeUndefined();
    expect(data).toEqual({
      film: { score: 7 },
      best: [
        { id: '2', votes: 200 },
        { id: '1', votes: 100 },
      ],
    });
    expect(askedOf(supergraph)).toHaveLength(1);
    expect(supergraph.subgraphs['ratings']?.seen[0]?.query).toMatch(
      /^query Page__ratings__\d__\d\(\$representations0:\[_Any!\]!,\$representations1:\[_Any!\]!\)\{_0:_entities\(representations:\$representations0\)\{\.\.\.on Film\{\w+\}\} _1:_entities\(representations:\$representations1\)\{\.\.\.on Film\{\w+\}\}\}$/,
    );
  });

  it('may use the same variables of the client, also one with the name of the variable for entities', async () => {
    answer = 'entities';
    const { data } = await ask(
      `query ($representations0: ID!, $plus: Int) {
        film(id: $representations0) { score(plus: $plus) } best { votes more: score(plus: $plus) }
      }`,
      { representations0: '1', plus: 3 },
    );
    expect(data).toEqual({
      film: { score: 10 },
      best: [
        { votes: 200, more: 11 },
        { votes: 100, more: 10 },
      ],
    });
    expect(askedOf(supergraph)).toHaveLength(1);
  });

  it('travel apart if they use different variables', async () => {
    answer = 'entities';
    const { data } = await ask(
      'query ($a: Int, $b: Int) { film(id: 1) { score(plus: $a) } best { votes score(plus: $b) } }',
      { a: 1, b: 2 },
    );
    expect(data).toEqual({
      film: { score: 8 },
      best: [
        { votes: 200, score: 10 },
        { votes: 100, score: 9 },
      ],
    });
    expect(askedOf(supergraph)).toHaveLength(2);
  });

  it('have their own errors at the places of the client', async () => {
    answer = 'one place fails';
    const { data, errors } = await ask('{ film(id: "bad") { score } best { votes } }');
    expect(data).toEqual({ film: { score: null }, best: [{ votes: 200 }, { votes: null }] });
    expect(errors?.map(({ path }) => path)).toEqual([
      ['film', 'score'],
      ['best', 1, 'votes'],
    ]);
    expect(askedOf(supergraph)).toHaveLength(1);
  });

  it('keep an error without a path, which is asked for again, at the nulls of its own fetch', async () => {
    answer = 'error without a path';
    const { data, errors } = await ask('{ film(id: 9) { score } best { note votes } }');
    expect(data).toEqual({
      film: { score: null },
      best: [
        { note: null, votes: 200 },
        { note: null, votes: 100 },
      ],
    });
    expect(errors?.map(({ path }) => path)).toEqual([['film', 'score']]);
    expect(askedOf(supergraph)).toHaveLength(3);
  });

  it('are sent one by one if the subgraph refuses them together, the next time at once', async () => {
    answer = 'refusal';
    const isTogether = (query: string): boolean => query.includes(':_entities(');
    for (const requests of [
      [true, false, false],
      [false, false],
    ]) {
      const { data, errors } = await ask('{ film(id: 1) { score } best { votes } }');
      expect(errors).toBeUndefined();
      expect(data).toEqual({ film: { score: 7 }, best: [{ votes: 200 }, { votes: 100 }] });
      expect(askedOf(supergraph).map(isTogether)).toEqual(requests);
    }
  });
});
