import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { bearerOf, testIssuer } from '@cinegraph/testing/tokens';
import { startStubSubgraph } from '../../../gateway/test/support/stub-subgraph.js';
import { protecting } from '../../federation/support/protected.js';
import { composeSubgraphs } from '../../federation/support/supergraph.js';
import { know } from '../../support/known-movies.js';
import { codesOf, signIn } from './accounts.js';
import type { Tools } from './attack.js';
import { runAlone, supergraph } from './stack.js';

const withoutScopes = bearerOf('somebody');
const editor = bearerOf('editor', { scopes: ['catalogue:write'] });

/** Whether the mutations of the catalogue need a scope, or only a viewer. */
const catalogueNeedsScope = supergraph.includes('catalogue:write');

/** Registers the cases 73 to 77. */
export const registerAuthorization = (
  test: (number: number, what: string, run: (tools: Tools) => Promise<void>) => void,
): void => {
  test(73, 'a protected field is refused on every path to it', async (tools) => {
    await takeEveryPath(tools);
  });

  test(74, 'headers by which a client claims to be somebody are not passed on', async ({ attack, stack }) => {
    const claims = {
      'x-user-id': 'admin',
      'x-user-roles': 'ADMIN',
      'x-viewer-id': 'admin',
      'x-gateway-secret': 'guess',
      'x-cinegraph-identity': 'v2.9999999999.YWRtaW4.AAAA',
      'x-forwarded-user': 'admin',
    };
    const { data } = await attack(
      { query: '{ me { login } myRatings { totalCount } }', headers: claims },
      { status: 200, code: 'UNAUTHENTICATED', fetches: true },
    );
    expect(data).toEqual({ me: null, myRatings: null });
    await attack(
      { query: '{ topRated(first: 3) { totalCount } genres { id } }', headers: claims },
      { status: 200, fetches: true },
    );
    for (const { proxy } of [stack.subgraphs.metadata, stack.subgraphs.rating]) {
      const received = proxy.lastHeaders();
      for (const [name, value] of Object.entries(claims)) expect(received[name]).not.toBe(value);
    }
  });

  test(75, 'nobody reads or changes what another viewer owns by its id', async (tools) => {
    await reachForOthers(tools);
  });

  test(
    76,
    'a viewer without the role calls each mutation of the catalogue, and no row changes',
    async (tools) => {
      await callCatalogue(tools);
    },
  );

  test(77, 'a role or another unknown key in an input is a validation error', async ({ attack }) => {
    const account = { login: 'eve', password: 'correct horse battery', name: 'Eve' };
    for (const [n, key] of ['role', 'roles', 'isAdmin', 'scope', 'id', '__proto__x'].entries()) {
      const value = key === 'roles' ? ['ADMIN'] : 'ADMIN';
      for (const [query, input] of [
        ['mutation ($input: RegisterInput!) { register(input: $input) { me { roles } } }', account],
        [
          'mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { me { roles } } }',
          { name: 'E' },
        ],
        ['mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }', { title: 'E' }],
      ] as const) {
        await attack(
          {
            query,
            variables: { input: { ...input, [key]: value } },
            ...(input !== account && { headers: editor }),
            from: `127.0.77.${n + 3}`,
          },
          { status: 400, code: 'BAD_USER_INPUT' },
        );
      }
    }
    const literal =
      'mutation { register(input: { login: "eve", password: "correct horse battery", name: "E", role: ADMIN }) { me { roles } } }';
    await attack({ query: literal, from: '127.0.77.2' }, { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' });
  });
};

/** A supergraph of two subgraphs with protected fields, served by a gateway at production settings. */
const takeEveryPath = async ({ attack }: Tools) => {
  const secret = 'kept-by-the-vault';
  const item = { __typename: 'Vault', id: '1', secret, owner: secret };
  const [first, second] = await Promise.all([
    startStubSubgraph({
      name: 'vaults',
      typeDefs: `${protecting}
        interface Node { id: ID! }
        type Vault implements Node @key(fields: "id") {
          id: ID! secret: String @authenticated owner: String @requiresScopes(scopes: [["vault:read"]])
        }
        type Query { vault(id: ID!): Vault node(id: ID!): Node vaults: [Vault!] }`,
      resolvers: { Query: { vault: () => item, node: () => item, vaults: () => [item] } },
    }),
    startStubSubgraph({
      name: 'contents',
      typeDefs: `${protecting}
        type Vault @key(fields: "id") { id: ID! content: String @requiresScopes(scopes: [["vault:read"]]) }`,
      resolvers: {
        Vault: { __resolveReference: (reference: object) => ({ ...reference, content: secret }) },
      },
    }),
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'corpus-'));
  const path = join(folder, 'supergraph.graphql');
  await writeFile(path, composeSubgraphs([first, second]).supergraph);
  const gateway = runAlone({ SUPERGRAPH_PATH: path, JWT_ISSUERS: testIssuer });
  const url = await gateway.url;
  const paths = [
    (field: string) => `{ vault(id: "1") { ${field} } }`,
    (field: string) => `{ harmless: vault(id: "1") { id title: ${field} } }`,
    (field: string) => `{ node(id: "1") { ... on Vault { ${field} } } }`,
    (field: string) => `{ node(id: "1") { ... on Node { id ... on Vault { a: ${field} } } } }`,
    (field: string) =>
      `{ node(id: "1") { ...F } } fragment F on Node { ...G } fragment G on Vault { ${field} }`,
    (field: string) => `{ vaults { ... @include(if: true) { ${field} } } }`,
    (field: string) => `query ($on: Boolean = true) { vaults { id ${field} @include(if: $on) } }`,
  ];
  try {
    for (const [headers, fields, code] of [
      [{}, ['secret', 'owner', 'content'], 'UNAUTHENTICATED'],
      [bearerOf('somebody', { scopes: ['other'] }), ['owner', 'content'], 'FORBIDDEN'],
    ] as const) {
      for (const field of fields) {
        for (const queryOf of paths) {
          const { text } = await attack({ query: queryOf(field), url, headers }, { status: 200, code });
          expect(text).not.toContain(secret);
        }
      }
    }
    const reference = 'representations: [{ __typename: "Vault", id: "1" }]';
    await attack({ query: `{ _entities(${reference}) { ... on Vault { content } } }`, url }, { status: 400 });
    for (const { query } of [...first.seen, ...second.seen])
      expect(query).not.toMatch(/secret|owner|content/);
    const allowed = bearerOf('keeper', { scopes: ['vault:read'] });
    const { data } = await attack(
      { query: '{ vault(id: "1") { secret owner content } }', url, headers: allowed },
      { status: 200 },
    );
    expect(data).toEqual({ vault: { secret, owner: secret, content: secret } });
  } finally {
    gateway.signal('SIGKILL');
    await Promise.all([gateway.ended, first.stop(), second.stop(), rm(folder, { recursive: true })]);
  }
};

/** A rates a movie; B tries to reach the rating, the session and the account of A. */
const reachForOthers = async (tools: Tools) => {
  const { attack, ask, stack } = tools;
  const [a, b] = [await signIn(tools, 'account-a'), await signIn(tools, 'account-b')];
  const as = ({ accessToken }: { accessToken: string }) => ({ authorization: `Bearer ${accessToken}` });
  const served = { status: 200, fetches: true };
  await know(stack.subgraphs.rating.pool, ['owned:1', 'owned:2']);
  await stack.subgraphs.metadata.pool.query(
    `INSERT INTO movie (id, title, version, created_at, updated_at)
     VALUES ('owned:1', 'Rated', 1, now(), now()), ('owned:2', 'Unrated', 1, now(), now())`,
  );
  const rated = await ask({
    query: 'mutation { submitRating(movieId: "owned:1", score: 8) { rating { score } } }',
    headers: as(a),
  });
  expect(rated.errors).toEqual([]);
  // For B, a movie that A has rated is as one that nobody has rated.
  const retract = 'mutation ($id: ID!) { retractRating(movieId: $id) { retracted } }';
  for (const id of ['owned:1', 'owned:2']) {
    const { data } = await attack({ query: retract, variables: { id }, headers: as(b) }, served);
    expect(data).toEqual({ retractRating: { retracted: false } });
  }
  for (const id of ['owned:1', 'owned:2']) {
    const query =
      'query ($id: ID!) { movie(id: $id) { myRating { score } } myRatings { totalCount } me { login } }';
    const { data } = await attack({ query, variables: { id }, headers: as(b) }, served);
    expect(data).toEqual({
      movie: { myRating: null },
      myRatings: { totalCount: 0 },
      me: { login: 'account-b' },
    });
  }
  // Private fields are not reachable through what is public of a user.
  for (const field of ['login', 'lastName', 'roles'])
    await attack(
      { query: `{ movie(id: "owned:1") { ratings { nodes { user { ${field} } } } } }`, headers: as(b) },
      { status: 400 },
    );
  const missing = await attack(
    {
      query: 'mutation { deleteAccount(password: "wrong password of a") { deletedUserId } }',
      headers: as(b),
    },
    served,
  );
  expect(codesOf(missing)).toEqual(['INVALID_CREDENTIALS']);
  const mine = await ask({ query: '{ movie(id: "owned:1") { myRating { score } } }', headers: as(a) });
  expect(mine.data).toEqual({ movie: { myRating: { score: 8 } } });
};

const callCatalogue = async ({ attack, stack, note }: Tools) => {
  const { pool } = stack.subgraphs.metadata;
  const contents = async () =>
    (await pool.query<object>('SELECT count(*), max(updated_at), sum(version) FROM movie')).rows;
  await pool.query(
    `INSERT INTO movie (id, title, version, created_at, updated_at) VALUES ('guarded', 'Guarded', 1, now(), now())`,
  );
  const before = await contents();
  const mutations = [
    'createMovie(input: { title: "x" }) { movie { id } }',
    'updateMovie(id: "guarded", version: 1, input: { title: "x" }) { movie { id } }',
    'upsertMovie(id: "guarded", input: { title: "x" }) { movie { id } }',
    'deleteMovie(id: "guarded") { deletedMovieId }',
  ];
  for (const mutation of mutations) {
    const query = `mutation { ${mutation} }`;
    await attack({ query }, { status: 200, code: 'UNAUTHENTICATED', fetches: !catalogueNeedsScope });
    if (catalogueNeedsScope)
      await attack({ query, headers: withoutScopes }, { status: 200, code: 'FORBIDDEN' });
  }
  if (!catalogueNeedsScope) note('the schema needs a viewer only');
  expect(await contents()).toEqual(before);
};
