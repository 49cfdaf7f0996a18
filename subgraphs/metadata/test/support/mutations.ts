import { startTestSubgraph, type GraphQLAnswer, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { expect } from '@jest/globals';
import { metadata } from '../../src/subgraph.js';

const fields = `id title description releaseDate releaseYear runtimeMinutes certification languages posterUrl version
  createdAt updatedAt genres { id name } directors { id name } cast { position character person { name } movie { id } }
  externalIds { source value } productionBudget { amount currency } worldwideGross { amount currency }
  domesticGross { amount } domesticDvdSales { amount }`;

/** A viewer who may change the catalogue. */
export const asEditor = { viewer: 'ana', scopes: ['catalogue:write'] };

export const codeOf = ({ errors }: GraphQLAnswer) => errors?.[0]?.extensions?.['code'];
/** The movie in the payload of an answer's only mutation; undefined if the mutation failed. */
export const movieOf = ({ data }: GraphQLAnswer) =>
  (Object.values(data ?? {})[0] as { readonly movie?: unknown } | null | undefined)?.movie;
export const detailsOf = ({ errors }: GraphQLAnswer) => errors?.[0]?.extensions?.['details'];

/** The input of a movie that has most fields. */
export const brazil = {
  title: 'Brazil',
  description: 'A clerk dreams.',
  releaseDate: '1985-02-20',
  runtimeMinutes: 132,
  certification: 'R',
  languages: ['en'],
  genres: ['Science Fiction', 'Comedy', 'science fiction'],
  directors: [{ name: 'Terry Gilliam' }],
  cast: [{ person: { name: 'Jonathan Pryce' }, character: 'Sam Lowry' }, { person: { name: 'Kim Greist' } }],
  posterUrl: 'https://example.org/brazil.jpg',
  productionBudget: { amount: '15000000', currency: 'USD' },
  worldwideGross: { amount: '999999999999999.99', currency: 'EUR' },
};

/**
 * Starts metadata on an empty database, with a clock that `setTime` sets, and returns its mutations as
 * functions.
 */
export const startMutations = async () => {
  let now = new Date('2026-11-21T09:30:00.123Z');
  const subgraph: TestSubgraph = await startTestSubgraph(metadata, { clock: { now: () => now } });

  const create = (input: unknown, idempotencyKey?: string, viewer = asEditor.viewer) =>
    subgraph.ask(
      `mutation ($input: MovieInput!, $idempotencyKey: String) {
         createMovie(input: $input, idempotencyKey: $idempotencyKey) { movie { ${fields} } } }`,
      { input, ...(idempotencyKey !== undefined && { idempotencyKey }) },
      { ...asEditor, viewer },
    );
  return {
    subgraph,
    now: () => now,
    setTime: (time: Date) => {
      now = time;
    },
    create,
    created: async (input: unknown) => {
      const answer = await create(input);
      expect(answer.errors).toBeUndefined();
      return movieOf(answer) as Record<string, unknown> & { id: string; version: number };
    },
    update: (id: string, version: number, input: unknown, idempotencyKey: string | null = null) =>
      subgraph.ask(
        `mutation ($id: ID!, $version: Int!, $input: MovieChanges!, $idempotencyKey: String) {
           updateMovie(id: $id, version: $version, input: $input, idempotencyKey: $idempotencyKey) {
             movie { ${fields} } } }`,
        { id, version, input, idempotencyKey },
        asEditor,
      ),
    upsert: (
      by: { id?: string; externalId?: unknown },
      input: unknown,
      idempotencyKey: string | null = null,
    ) =>
      subgraph.ask(
        `mutation ($id: ID, $externalId: ExternalIdInput, $input: MovieInput!, $idempotencyKey: String) {
           upsertMovie(id: $id, externalId: $externalId, input: $input, idempotencyKey: $idempotencyKey) {
             movie { ${fields} } } }`,
        { ...by, input, idempotencyKey },
        asEditor,
      ),
    remove: (id: string, version?: number, idempotencyKey: string | null = null) =>
      subgraph.ask(
        `mutation ($id: ID!, $version: Int, $idempotencyKey: String) {
           deleteMovie(id: $id, version: $version, idempotencyKey: $idempotencyKey) { deletedMovieId } }`,
        { id, ...(version !== undefined && { version }), idempotencyKey },
        asEditor,
      ),
    read: async (id: string) =>
      (await subgraph.ask(`query ($id: ID!) { movie(id: $id) { ${fields} } }`, { id })).data?.['movie'],
    countMovies: async (title: string) => {
      const { rows } = await subgraph.pool.query('SELECT id FROM movie WHERE title = $1', [title]);
      return rows.length;
    },
  };
};
