import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { metadata } from '../src/subgraph.js';
import { asEditor } from './support/mutations.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
});
afterAll(() => subgraph.stop());

describe('a refusal of an argument', () => {
  it.each([
    ['first', '{ movies(first: 101) { totalCount } }'],
    ['last', '{ movies(last: -1) { totalCount } }'],
    ['last', '{ movies(first: 1, last: 1) { totalCount } }'],
    ['before', '{ movies(first: 1, before: "x") { totalCount } }'],
    ['after', '{ movies(after: "x") { totalCount } }'],
    ['before', '{ movies(before: "x") { totalCount } }'],
    ['first', '{ genres(first: 101) { id } }'],
    ['first', '{ search(text: "x", first: 101) { hasMore } }'],
    ['text', '{ search(text: " ") { hasMore } }'],
    ['filter.title', '{ movies(filter: { title: "" }) { totalCount } }'],
    ['filter.ratingCount', '{ movies(filter: { ratingCount: { from: 2, to: 1 } }) { totalCount } }'],
    ['ids', `{ nodes(ids: [${'"x" '.repeat(101)}]) { id } }`],
    ['title', 'mutation { createMovie(input: { title: " " }) { movie { id } } }'],
    [
      'idempotencyKey',
      'mutation { createMovie(input: { title: "T" }, idempotencyKey: "") { movie { id } } }',
    ],
    ['id', 'mutation { upsertMovie(input: { title: "T" }) { movie { id } } }'],
    ['id', 'mutation { upsertMovie(id: "a b", input: { title: "T" }) { movie { id } } }'],
    ['id', 'mutation { upsertMovie(id: "person:a", input: { title: "T" }) { __typename } }'],
    ['id', 'mutation { upsertMovie(id: "rating:a", input: { title: "T" }) { __typename } }'],
    [
      'externalId',
      'mutation { upsertMovie(id: "a", externalId: { source: "imdb", value: "tt0000001" }, input: { title: "T" }) { movie { id } } }',
    ],
  ])('a refusal names the field %s in its details: %s', async (field, query) => {
    const { errors } = await subgraph.ask(query, {}, asEditor);
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', details: { field } });
  });

  it('a new movie never gets the id of a genre or a person, which Query.node returns', async () => {
    const create = `mutation { createMovie(input: { title: "T", genres: ["Drama"], directors: [{ name: "Ann" }] }) { __typename } }`;
    expect((await subgraph.ask(create, {}, asEditor)).errors).toBeUndefined();
    const { data } = await subgraph.ask('{ search(text: "ann") { hits { node { ... on Person { id } } } } }');
    const { search } = data as { search: { hits: { node: { id: string } }[] } };
    const person = search.hits[0]?.node.id;
    expect(person).toEqual(expect.any(String));
    for (const id of ['drama', person]) {
      const upsert = `mutation ($id: ID) { upsertMovie(id: $id, input: { title: "T" }) { __typename } }`;
      const { errors } = await subgraph.ask(upsert, { id }, asEditor);
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', details: { field: 'id' } });
    }
  });
});
