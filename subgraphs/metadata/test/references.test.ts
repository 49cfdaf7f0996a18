import { importInto } from '@cinegraph/subgraph/import/run-import';
import {
  askGraphQL,
  startTestSubgraph,
  statementsDuring,
  type TestSubgraph,
} from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { metadata } from '../src/subgraph.js';
import { asEditor } from './support/mutations.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
  await importInto(catalogue, subgraph.pool);
  await subgraph.ask('mutation { deleteMovie(id: "vega:7") { deletedMovieId } }', {}, asEditor);
});
afterAll(() => subgraph.stop());

const resolve = (fields: string, representations: readonly unknown[]) =>
  subgraph.ask(`query ($of: [_Any!]!) { _entities(representations: $of) { ${fields} } }`, {
    of: representations,
  });

const movies = (...ids: unknown[]) => ids.map((id) => ({ __typename: 'Movie', id }));

describe('a reference to a movie', () => {
  it('a reference resolves to its movie', async () => {
    const { data, errors } = await resolve(
      '... on Movie { id title directors { name } }',
      movies('vega:1', 'vega:1096'),
    );
    expect(errors).toBeUndefined();
    expect(data?.['_entities']).toEqual([
      { id: 'vega:1', title: 'The Land Girls', directors: [] },
      expect.objectContaining({ id: 'vega:1096' }),
    ]);
  });

  it('a reference to an unknown movie resolves to null without an error', async () => {
    const { data, errors } = await resolve('... on Movie { title }', movies('vega:99999', ''));
    expect({ data, errors }).toEqual({ data: { _entities: [null, null] }, errors: undefined });
  });

  it('a reference to a deleted movie resolves to null with MOVIE_DELETED at its path', async () => {
    const { data, errors } = await resolve(
      '... on Movie { title }',
      movies('vega:1', 'vega:7', 'vega:99999'),
    );
    expect(data?.['_entities']).toEqual([{ title: 'The Land Girls' }, null, null]);
    expect(errors).toEqual([
      expect.objectContaining({
        message: 'The movie was deleted.',
        path: ['_entities', 1],
        extensions: expect.objectContaining({ code: 'MOVIE_DELETED' }),
      }),
    ]);
  });

  it('a reference whose id is not a string is refused at its path', async () => {
    const { data, errors } = await resolve(
      '... on Movie { title }',
      movies('vega:1', { not: null }, 5, ['vega:1'], null),
    );
    expect(data?.['_entities']).toEqual([{ title: 'The Land Girls' }, null, null, null, null]);
    expect(errors?.map(({ extensions }) => extensions?.['code'])).toEqual(Array(4).fill('BAD_USER_INPUT'));
  });

  it('100 references cost one SQL statement', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `vega:${index + 100}`);
    const statements = await statementsDuring(async () => {
      const { data } = await resolve('... on Movie { id title }', movies(...ids));
      expect((data?.['_entities'] as { id: string }[]).map(({ id }) => id)).toEqual(ids);
    });
    expect(statements).toHaveLength(1);
  });

  it('100 references cost one more SQL statement for each nested field', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `vega:${index + 1_000}`);
    const fields =
      'genres { name } directors { name } cast { character } externalIds { value } externalRatings { votes }';
    const statements = await statementsDuring(async () => {
      const { errors } = await resolve(`... on Movie { title ${fields} }`, movies(...ids));
      expect(errors).toBeUndefined();
    });
    expect(statements).toHaveLength(5);
  });
});

describe('a reference to a person', () => {
  it('references to people resolve to the person or to null, in one SQL statement', async () => {
    const people = ['person:vega:david-fincher', 'person:vega:nobody', 'person:vega:woody-allen'];
    let answer: unknown;
    const statements = await statementsDuring(async () => {
      answer = (
        await resolve(
          '... on Person { name }',
          people.map((id) => ({ __typename: 'Person', id })),
        )
      ).data;
    });
    expect(answer).toEqual({ _entities: [{ name: 'David Fincher' }, null, { name: 'Woody Allen' }] });
    expect(statements).toHaveLength(1);
  });
});

describe('in production', () => {
  it('a request without a valid signature of the gateway is refused in production', async () => {
    const production = await startTestSubgraph(metadata, {
      mode: 'production',
      databaseUrl: subgraph.databaseUrl,
    });
    try {
      const body = {
        query: '{ _entities(representations: [{ __typename: "Movie", id: "vega:1" }]) { __typename } }',
      };
      for (const headers of [{}, { 'x-cinegraph-identity': 'v2.9999999999..AAAAAAAAAAAAAAAAAAAAAA' }]) {
        const { status, data, errors } = await askGraphQL(`${production.url}/graphql`, body, headers);
        expect({ status, data, code: errors?.[0]?.extensions?.['code'] }).toEqual({
          status: 401,
          data: undefined,
          code: 'UNAUTHENTICATED',
        });
      }
      expect((await production.ask('{ movie(id: "vega:1") { title } }')).data).toEqual({
        movie: { title: 'The Land Girls' },
      });
    } finally {
      await production.stop();
    }
  });
});
