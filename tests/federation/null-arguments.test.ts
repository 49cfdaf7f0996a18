import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Supergraph } from '@apollo/federation-internals';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  astFromValue,
  getNamedType,
  isInputObjectType,
  isLeafType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  print,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
} from 'graphql';
import { newId } from '@cinegraph/service/clock';
import { bearerOf } from '@cinegraph/testing/tokens';
import { startTestGraph, type TestGraph } from '../support/graph.js';
import { know } from '../support/known-movies.js';

const schema = Supergraph.build(
  readFileSync(join(import.meta.dirname, '../../gateway/supergraph.graphql'), 'utf8'),
  { supportedFeatures: null },
)
  .apiSchema()
  .toGraphQLJSSchema();

/** An editor with the id of an account, so that the ratings have a user. */
const editor = bearerOf(newId(), { scopes: ['catalogue:write'] });

let graph: TestGraph;
beforeAll(async () => {
  graph = await startTestGraph();
  const { errors } = await graph.ask(
    `mutation { upsertMovie(id: "m:1", input: { title: "One", genres: ["Drama"], cast: [{ person: { name: "Ada" } }] }) { movie { id } } }`,
    {},
    editor,
  );
  expect(errors).toBeUndefined();
  await know(graph.subgraphs.rating.pool, ['m:2']);
  const rated = await graph.ask(
    'mutation { submitRating(movieId: "m:2", score: 7) { rating { score } } }',
    {},
    editor,
  );
  expect(rated.errors).toBeUndefined();
});
afterAll(() => graph.stop());

/** Values for what has to be sent, by the name of the argument or input field. */
const required: Readonly<Record<string, string>> = {
  id: '"m:1"',
  movieId: '"m:1"',
  text: '"one"',
  version: '1',
  score: '7',
  title: '"One"',
  amount: '"1"',
  currency: 'USD',
  source: '"tmdb"',
  value: '"7"',
  input: '{ title: "One" }',
};

/** How a field of a type is reached from the root. */
const pathTo: Readonly<Record<string, (field: string) => string>> = {
  Query: (field) => `query {VARIABLES} { ${field} }`,
  Mutation: (field) => `mutation {VARIABLES} { ${field} }`,
  Movie: (field) => `query {VARIABLES} { movie(id: "m:1") { ${field} } }`,
  Genre: (field) => `query {VARIABLES} { genre(id: "drama") { ${field} } }`,
  Person: (field) => `query {VARIABLES} { movie(id: "m:1") { cast { person { ${field} } } } }`,
  User: (field) => `query {VARIABLES} { myRatings { nodes { user { ${field} } } } }`,
};

/** A nullable or defaulted input of a field; `operation` returns an operation with this value for it. */
interface Input {
  readonly name: string;
  readonly type: GraphQLInputType;
  readonly acceptsNull: boolean;
  readonly default: string | undefined;
  readonly operation: (value: string | undefined) => string;
}

const written = (
  inputs: readonly (GraphQLArgument | GraphQLInputField)[],
  name: string,
  value: string | undefined,
) =>
  inputs
    .flatMap((input) => {
      if (input.name === name) return value === undefined ? [] : [`${name}: ${value}`];
      const isRequired = isNonNullType(input.type) && input.defaultValue === undefined;
      return isRequired ? [`${input.name}: ${required[input.name] ?? '"x"'}`] : [];
    })
    .join(', ');

const spell = (field: GraphQLField<unknown, unknown>, args: string) =>
  `${field.name}${args === '' ? '' : `(${args})`}${isLeafType(getNamedType(field.type)) ? '' : ' { __typename }'}`;

const defaultOf = ({ defaultValue, type }: GraphQLArgument): string | undefined => {
  const literal = astFromValue(defaultValue, type);
  return literal ? print(literal) : undefined;
};

const inputsOf = (typeName: string, field: GraphQLField<unknown, unknown>): Input[] =>
  field.args.flatMap((argument) => {
    const operationWith = (value: string | undefined) =>
      pathTo[typeName]?.(spell(field, written(field.args, argument.name, value))) ?? '';
    const self: Input[] = isRequiredArgument(argument)
      ? []
      : [
          {
            name: `${typeName}.${field.name}(${argument.name}:)`,
            type: argument.type,
            acceptsNull: !isNonNullType(argument.type),
            default: defaultOf(argument),
            operation: operationWith,
          },
        ];
    const inner = getNamedType(argument.type);
    if (!isInputObjectType(inner)) return self;
    const fields = Object.values(inner.getFields());
    const below = fields
      .filter((input) => !isRequiredInputField(input))
      .map((input): Input => ({
        name: `${typeName}.${field.name}(${argument.name}.${input.name}:)`,
        type: input.type,
        acceptsNull: !isNonNullType(input.type),
        default: undefined,
        operation: (value) => operationWith(`{ ${written(fields, input.name, value)} }`),
      }));
    return [...self, ...below];
  });

const inputs = Object.values(schema.getTypeMap()).flatMap((type) =>
  isObjectType(type) && !type.name.startsWith('__')
    ? Object.values(type.getFields()).flatMap((field) => inputsOf(type.name, field))
    : [],
);

const nullable = (type: GraphQLInputType) => (isNonNullType(type) ? type.ofType : type).toString();

describe('an explicit null for an argument or input field', () => {
  const ask = async (operation: string, declared: string, variables: Record<string, unknown>) => {
    const {
      status,
      data,
      errors = [],
    } = await graph.ask(operation.replace('{VARIABLES}', declared), variables, editor);
    return { status, data, errors, codes: errors.map(({ extensions }) => extensions?.['code']) };
  };

  it('the schema has inputs of each kind', () => {
    expect(inputs.length).toBeGreaterThan(60);
    expect(inputs.filter((input) => !input.acceptsNull).map(({ name }) => name)).toEqual([
      'Genre.movies(sort:)',
      'Genre.movies(first:)',
      'Movie.credits(first:)',
      'Movie.ratings(first:)',
      'Person.filmography(first:)',
      'Query.movies(sort:)',
      'Query.genres(first:)',
      'Query.search(first:)',
      'Query.topRated(first:)',
      'User.ratings(first:)',
    ]);
    expect(
      [...new Set(inputs.map(({ name }) => name.split('.')[0]))].every((type) => pathTo[type ?? '']),
    ).toBe(true);
  });

  it.each(inputs.map((input) => [input.name, input] as const))(
    'is no fault of ours: %s as a literal, as a variable, and as a variable that is left out',
    async (_name, input) => {
      const literal = await ask(input.operation('null'), '', {});
      const declared = `($v: ${nullable(input.type)}${input.default === undefined ? '' : ` = ${input.default}`})`;
      const variable = await ask(input.operation('$v'), declared, { v: null });
      const missing = await ask(input.operation('$v'), declared, {});
      const left = await ask(input.operation(undefined), '', {});

      for (const { codes } of [literal, variable, missing, left])
        expect(codes).not.toContain('INTERNAL_SERVER_ERROR');
      if (input.acceptsNull) {
        expect(variable.codes).toEqual(literal.codes);
      } else {
        expect([literal.status, literal.codes]).toEqual([400, ['GRAPHQL_VALIDATION_FAILED']]);
        expect([variable.status, variable.codes]).toEqual([400, ['BAD_USER_INPUT']]);
        expect(variable.errors[0]?.message).toContain('The variable "$v" is null');
        expect(variable.errors[0]?.path?.at(-1)).toBe(input.name.replace(/^\w+\.(\w+).*$/, '$1'));
        expect(missing.codes).toEqual([]);
      }
    },
  );

  it.each(['metadata', 'rating'] as const)('is refused by %s itself with the same code', async (name) => {
    const [field, selection] =
      name === 'metadata' ? ['genres(first: 1)', '{ id }'] : ['topRated(first: 1)', '{ nodes { id } }'];
    const { status, errors } = await graph.subgraphs[name].ask(
      `query ($yes: Boolean = true) { ${field} @include(if: $yes) ${selection} }`,
      { yes: null },
    );
    expect([status, errors?.[0]?.extensions?.['code']]).toEqual([400, 'BAD_USER_INPUT']);
  });
});
