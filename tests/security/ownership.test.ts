import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Supergraph } from '@apollo/federation-internals';
import { newId } from '@cinegraph/service/clock';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getNamedType, isInputObjectType, isObjectType, type GraphQLArgument } from 'graphql';
import { fieldsOf } from './field-matrix.js';
import { movieId, password, refusalsOf, startWorld, type Account, type World } from './world.js';

const schema = Supergraph.build(
  readFileSync(join(import.meta.dirname, '../../gateway/supergraph.graphql'), 'utf8'),
  { supportedFeatures: null },
)
  .apiSchema()
  .toGraphQLJSSchema();

/** Returns the arguments of a field by its coordinate. */
const argumentsOf = (coordinate: string): readonly GraphQLArgument[] => {
  const [name = '', field = ''] = coordinate.split('.');
  const type = schema.getType(name);
  return isObjectType(type) ? (type.getFields()[field]?.args ?? []) : [];
};

let world: World;
let ann: Account;
let bob: Account;
beforeAll(async () => {
  world = await startWorld();
  ann = await world.open('user');
  bob = await world.open('user');
});
afterAll(() => world.stop());

/** The ids that fields take, each with whose it is. */
const idsOf: Readonly<Record<string, string>> = {
  'Mutation.deleteMovie(id:)': 'of the catalogue, for editors',
  'Mutation.retractRating(movieId:)': "of the catalogue; the rating is the viewer's",
  'Mutation.submitRating(movieId:)': "of the catalogue; the rating is the viewer's",
  'Mutation.updateMovie(id:)': 'of the catalogue, for editors',
  'Mutation.upsertMovie(id:)': 'of the catalogue, for editors',
  'Query.genre(id:)': 'of the catalogue, for everybody',
  'Query.movie(id:)': 'of the catalogue, for everybody',
  'Query.node(id:)': 'of the catalogue, or of a rating, for everybody',
  'Query.nodes(ids:)': 'of the catalogue, or of ratings, for everybody',
  'Query.person(id:)': 'of the catalogue, for everybody',
};

describe('what belongs to another viewer', () => {
  const retract = (id: string, { headers }: Account) =>
    world.ask(
      'mutation ($id: ID!) { retractRating(movieId: $id) { retracted movie { aggregatedRating { count } } } }',
      { id },
      headers,
    );
  const submit = (id: string, { headers }: Account, score: number, key: string | null = null) =>
    world.ask(
      `mutation ($id: ID!, $score: Score!, $key: String) {
         submitRating(movieId: $id, score: $score, idempotencyKey: $key) { rating { score user { id } } } }`,
      { id, score, key },
      headers,
    );

  it('no field takes the id of something that belongs to one viewer', () => {
    const found = fieldsOf(schema).flatMap((field) =>
      argumentsOf(field)
        .filter(({ type }) => getNamedType(type).name === 'ID')
        .map(({ name }) => `${field}(${name}:)`),
    );
    expect(found).toEqual(Object.keys(idsOf));
  });

  it("a viewer cannot retract or replace another one's rating, and gets the answer of a movie without one", async () => {
    const [rated, unrated] = [await world.addMovie(), await world.addMovie()];
    expect((await submit(rated, bob, 3)).errors).toBeUndefined();
    expect((await retract(rated, ann)).data).toEqual({
      retractRating: { retracted: false, movie: { aggregatedRating: { count: 1 } } },
    });
    expect((await retract(unrated, ann)).data).toMatchObject({ retractRating: { retracted: false } });
    expect((await submit(rated, ann, 9)).data).toEqual({
      submitRating: { rating: { score: 9, user: { id: ann.id } } },
    });
    const { data } = await world.ask(
      'query ($id: ID!) { movie(id: $id) { myRating { score } aggregatedRating { count } } }',
      { id: rated },
      bob.headers,
    );
    expect(data).toEqual({ movie: { myRating: { score: 3 }, aggregatedRating: { count: 2 } } });
  });

  it("a cursor of another viewer's ratings is refused as a made-up one is", async () => {
    const page = (after: string, { headers }: Account) =>
      world.ask(
        'query ($after: String) { myRatings(after: $after) { nodes { score } pageInfo { endCursor } } }',
        { after },
        headers,
      );
    const { data } = await world.ask('{ myRatings(first: 1) { pageInfo { endCursor } } }', {}, bob.headers);
    const { endCursor } = (data as { myRatings: { pageInfo: { endCursor: string } } }).myRatings.pageInfo;
    expect((await page(endCursor, bob)).errors).toBeUndefined();
    const [taken, madeUp] = [await page(endCursor, ann), await page('made-up', ann)];
    expect(taken.data).toEqual({ myRatings: null });
    expect(taken).toEqual(madeUp);
  });

  it("an idempotency key of another viewer does not return that viewer's answer", async () => {
    const id = await world.addMovie();
    await submit(id, bob, 3, 'shared-key');
    expect((await submit(id, ann, 8, 'shared-key')).data).toEqual({
      submitRating: { rating: { score: 8, user: { id: ann.id } } },
    });
  });

  it('node returns null for the id of an account, as for an id that nobody has', async () => {
    const ask = (id: string) =>
      world.ask('query ($id: ID!) { node(id: $id) { __typename id } }', { id }, ann.headers);
    const missing = await ask(newId());
    expect(missing.data).toEqual({ node: null });
    expect(await ask(bob.id)).toEqual(missing);
  });

  it("everybody sees another viewer's ratings and name, and neither login nor roles", async () => {
    const ask = (selection: string) =>
      world.ask(
        `query ($id: ID!) { movie(id: $id) { ratings { nodes { user { ${selection} } } } } }`,
        { id: movieId },
        ann.headers,
      );
    expect((await ask('id name')).errors).toBeUndefined();
    for (const field of ['login', 'lastName', 'roles', 'me { login }'])
      expect((await ask(field)).status).toBe(400);
  });

  it('the mutations of accounts take no id of an account', async () => {
    const calls = [
      `updateProfile(id: "${bob.id}", input: { name: "Taken" }) { me { name } }`,
      `changePassword(id: "${bob.id}", currentPassword: "${password}", newPassword: "x${password}") { endedSessions }`,
      `deleteAccount(id: "${bob.id}", password: "${password}") { deletedUserId }`,
      `logoutEverywhere(id: "${bob.id}") { endedSessions }`,
    ];
    for (const call of calls) {
      const { status, data, errors } = await world.ask(`mutation { ${call} }`, {}, ann.headers);
      expect([status, data, errors?.[0]?.extensions?.['code']]).toEqual([
        400,
        undefined,
        'GRAPHQL_VALIDATION_FAILED',
      ]);
    }
  });

  it('a viewer whose account was deleted changes nothing with the token that is left', async () => {
    const { headers } = await world.open('user');
    const remove = () =>
      world.ask(
        'mutation ($password: String!) { deleteAccount(password: $password) { deletedUserId } }',
        { password },
        headers,
      );
    expect((await remove()).errors).toBeUndefined();
    const before = await world.rows();
    expect(refusalsOf(await remove())).toEqual([['deleteAccount', 'ACCOUNT_NOT_FOUND']]);
    expect(await world.rows()).toEqual(before);
  });
});

describe('a key that an input does not have', () => {
  /** Each input type, with an operation that has one more key in it. */
  const operations = new Map<string, string>();
  const visit = (type: unknown, around: (literal: string) => string): void => {
    if (!isInputObjectType(type) || operations.has(type.name)) return;
    operations.set(type.name, around('{ role: "ADMIN" }'));
    for (const field of Object.values(type.getFields()))
      visit(getNamedType(field.type), (literal) => around(`{ ${field.name}: ${literal} }`));
  };
  for (const coordinate of fieldsOf(schema)) {
    const [type, field] = coordinate.split('.');
    if (type !== 'Query' && type !== 'Mutation') continue;
    for (const { name, type: input } of argumentsOf(coordinate))
      visit(
        getNamedType(input),
        (literal) => `${type.toLowerCase()} { ${field}(${name}: ${literal}) { __typename } }`,
      );
  }

  it('every input type is reached', () => {
    const all = Object.values(schema.getTypeMap()).filter(isInputObjectType);
    expect([...operations.keys()].sort()).toEqual(all.map(({ name }) => name).sort());
  });

  it.each([...operations])(
    '%s does not accept role: "ADMIN", and no subgraph is asked',
    async (type, operation) => {
      let answer: Awaited<ReturnType<World['ask']>> | undefined;
      const fetches = await world.fetchesDuring(async () => {
        answer = await world.ask(operation, {}, ann.headers);
      });
      expect(answer?.status).toBe(400);
      expect(answer?.errors).toContainEqual(
        expect.objectContaining({
          message: expect.stringContaining(`Field "role" is not defined by type "${type}".`),
          extensions: expect.objectContaining({ code: 'GRAPHQL_VALIDATION_FAILED' }),
        }),
      );
      expect(fetches).toEqual([]);
    },
  );

  it.each([
    ['role', 'BAD_USER_INPUT'],
    ['roles', 'BAD_USER_INPUT'],
    ['id', 'BAD_USER_INPUT'],
    ['__proto__', 'BAD_REQUEST'],
  ])('%s in a variable opens and changes no account', async (key, code) => {
    const before = await world.rows();
    const more = Object.fromEntries([[key, 'ADMIN']]);
    const attempts = [
      [
        'mutation ($input: RegisterInput!) { register(input: $input) { me { roles } } }',
        { login: 'mallory', password },
      ],
      ['mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { me { roles } } }', {}],
    ] as const;
    for (const [query, input] of attempts) {
      const answer = await world.ask(query, { input: { ...input, name: 'Mallory', ...more } }, ann.headers);
      expect([answer.data ?? null, answer.errors?.[0]?.extensions?.['code']]).toEqual([null, code]);
    }
    expect(await world.rows()).toEqual(before);
  });
});
