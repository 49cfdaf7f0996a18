import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Supergraph } from '@apollo/federation-internals';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { extendSchema, isObjectType, parse, type GraphQLObjectType } from 'graphql';
import {
  askers,
  fieldsOf,
  may,
  objectAt,
  operationOf,
  pathsOf,
  readDecisions,
  selectionOf,
  undecided,
  type Asker,
  type Path,
} from './field-matrix.js';
import {
  imdbId,
  movieId,
  password,
  personId,
  refusalsOf,
  startWorld,
  type Account,
  type World,
} from './world.js';

const schema = Supergraph.build(
  readFileSync(join(import.meta.dirname, '../../gateway/supergraph.graphql'), 'utf8'),
  { supportedFeatures: null },
)
  .apiSchema()
  .toGraphQLJSSchema();
const decided = readDecisions();
const fields = fieldsOf(schema);
const protectedFields = fields.filter((field) => !may(decided, 'nobody', field));
const roots = ['Query', 'Mutation'];

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

/** The arguments of the fields that require some, with which the field succeeds for those who may. */
const requiredArguments: Readonly<Record<string, (account: Account) => string | Promise<string>>> = {
  'Query.movie': () => `id: "${movieId}"`,
  'Query.movieByExternalId': () => `source: "imdb", value: "${imdbId}"`,
  'Query.genre': () => 'id: "drama"',
  'Query.search': () => 'text: "Brazil"',
  'Query.person': () => `id: "${personId}"`,
  'Query.node': () => `id: "${movieId}"`,
  'Query.nodes': () => `ids: ["${movieId}"]`,
  'Mutation.createMovie': () => 'input: { title: "New" }',
  'Mutation.updateMovie': async () => `id: "${await world.addMovie()}", version: 1, input: { title: "New" }`,
  'Mutation.upsertMovie': async () => `id: "${await world.addMovie()}", input: { title: "New" }`,
  'Mutation.deleteMovie': async () => `id: "${await world.addMovie()}"`,
  'Mutation.submitRating': () => `movieId: "${movieId}", score: 9`,
  'Mutation.retractRating': () => `movieId: "${movieId}"`,
  'Mutation.register': ({ id }) => `input: { login: "new-${id}", password: "${password}", name: "New" }`,
  'Mutation.login': ({ login }) => `login: "${login}", password: "${password}"`,
  'Mutation.refresh': async ({ login }) => `refreshToken: "${await world.logIn(login)}"`,
  'Mutation.logout': async ({ login }) => `refreshToken: "${await world.logIn(login)}"`,
  'Mutation.updateProfile': () => 'input: { name: "New" }',
  'Mutation.changePassword': () => `currentPassword: "${password}", newPassword: "another ${password}"`,
  'Mutation.deleteAccount': () => `password: "${password}"`,
};

/** An operation on fields of one type, and who sends it. */
const prepare = async (asker: Asker, type: GraphQLObjectType, path: Path, names: readonly string[]) => {
  // Some mutations end the account or its sessions.
  const account = await world.open(asker);
  const used = [
    ...path.steps.map((step) => `${step.type}.${step.field}`),
    ...names.map((name) => `${type.name}.${name}`),
  ];
  const texts = new Map<string, string>();
  for (const field of used) {
    const text = await requiredArguments[field]?.(account);
    if (text !== undefined) texts.set(field, `(${text})`);
  }
  const argumentsOf = (field: string) => texts.get(field) ?? '';
  const definitions = type.getFields();
  const selections = names.flatMap((name) => {
    const field = definitions[name];
    return field ? [selectionOf(field, argumentsOf(`${type.name}.${name}`))] : [];
  });
  const ask = (some: readonly string[]) =>
    world.ask(operationOf(path, argumentsOf, some), {}, account.headers);
  return { withFields: () => ask(selections), without: () => ask([]) };
};

/** Asks for fields that the asker may see. Root fields are asked for one by one. */
const expectSeen = async (asker: Asker, type: GraphQLObjectType, path: Path, names: readonly string[]) => {
  const { withFields } = await prepare(asker, type, path, names);
  const answer = await withFields();
  const label = `${asker}: ${type.name} { ${names.join(' ')} }`;
  expect([label, answer.errors]).toEqual([label, undefined]);
  const found = objectAt(answer.data, path, type.name);
  expect([label, Object.keys(found ?? {})]).toEqual([label, ['__typename', ...names]]);
};

/** Asks for one field that the asker may not see. */
const expectRefused = async (asker: Asker, type: GraphQLObjectType, path: Path, name: string) => {
  const { withFields, without } = await prepare(asker, type, path, [name]);
  const label = `${asker}: ${type.name}.${name}`;
  const before = await world.rows();
  let answer: Awaited<ReturnType<typeof withFields>> | undefined;
  const fetches = await world.fetchesDuring(async () => {
    answer = await withFields();
  });
  const code = asker === 'nobody' ? 'UNAUTHENTICATED' : 'FORBIDDEN';
  const at = [...path.steps.map(({ field }) => field), name].join('.');
  expect([label, answer && refusalsOf(answer)]).toEqual([label, [[at, code]]]);
  expect(objectAt(answer?.data, path, type.name)).toEqual({ __typename: type.name, [name]: null });
  // What the field adds is not fetched; of a root field that is everything.
  const fetched = path.steps.length === 0 ? [] : await world.fetchesDuring(without);
  expect([label, fetches]).toEqual([label, fetched]);
  expect([label, await world.rows()]).toEqual([label, before]);
};

describe(`the ${fields.length} fields × ${askers.length} askers of the field matrix`, () => {
  it('every field of the schema has a decision on who may see it', () => {
    expect(undecided(schema, decided)).toEqual([]);
  });

  it('a new field without a decision fails with a sentence that says what to do', () => {
    const extended = extendSchema(schema, parse('extend type Mutation { deleteEverything: Boolean }'));
    expect(undecided(extended, decided)).toEqual([
      "Mutation.deleteEverything is new, and nobody has decided who may see it. Protect it in its subgraph's schema.graphql, if it needs that, and add a line to tests/security/field-matrix.txt: Mutation.deleteEverything <everybody or user or editor or admin>",
    ]);
    expect(undecided(schema, new Map([...decided, ['Movie.gone', 'user']]))).toEqual([
      'Movie.gone does not exist any more. Remove its line from tests/security/field-matrix.txt.',
    ]);
  });

  it('a line that is not a decision is refused', () => {
    for (const line of [
      'Query.me',
      'Query.me someone',
      'Query.me user or so',
      'Query.me user\nQuery.me admin',
    ])
      expect(() => readDecisions(line)).toThrow('Write each field once');
  });

  it('every mutation but those that open or end a session needs a viewer', () => {
    const open = fields.filter((field) => field.startsWith('Mutation.') && !protectedFields.includes(field));
    expect(open).toEqual(['Mutation.login', 'Mutation.logout', 'Mutation.refresh', 'Mutation.register']);
  });

  it.each(askers)(
    '%s gets data from each field that the matrix permits, and from no other one',
    async (asker) => {
      const paths = pathsOf(schema, decided, asker);
      let cells = 0;
      for (const [name, path] of paths) {
        const type = schema.getType(name);
        if (!isObjectType(type)) continue;
        const names = Object.keys(type.getFields());
        const seen = names.filter((field) => may(decided, asker, `${name}.${field}`));
        if (!roots.includes(name)) await expectSeen(asker, type, path, seen);
        else for (const field of seen) await expectSeen(asker, type, path, [field]);
        for (const field of names) if (!seen.includes(field)) await expectRefused(asker, type, path, field);
        cells += names.length;
      }
      // The types that are left out are only reached by fields that were refused.
      const unreached = fields.filter((field) => !paths.has(field.split('.')[0] ?? ''));
      expect(unreached.filter((field) => !field.includes('Payload.'))).toEqual([]);
      expect(cells + unreached.length).toBe(fields.length);
    },
    60_000,
  );
});
