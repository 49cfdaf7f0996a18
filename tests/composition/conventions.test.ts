import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Supergraph } from '@apollo/federation-internals';
import { describe, expect, it } from '@jest/globals';
import { isNonNullType, isObjectType, isScalarType, isSpecifiedScalarType } from 'graphql';

const schema = Supergraph.build(
  readFileSync(fileURLToPath(new URL('../../gateway/supergraph.graphql', import.meta.url)), 'utf8'),
  { supportedFeatures: null },
)
  .apiSchema()
  .toGraphQLJSSchema();

const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
const fields = types
  .filter(isObjectType)
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ owner: type.name, field })));

/** Scalars whose format no public document specifies; their descriptions do. */
const ownFormats = ['Decimal', 'Score'];

/** Mutations that take no idempotency key, each with its reason. */
const withoutKey: Readonly<Record<string, string>> = {
  login: 'the stored answer would hold tokens in clear; a repeat opens one more session',
  refresh: 'the stored answer would hold tokens in clear; a repeat has to be noticed as the reuse of a token',
  logout: 'a repeat has no effect, and the session of the token is the only one that it could concern',
};

describe('the conventions of the schema', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});

  it('each mutation returns a payload of its own', () => {
    expect(mutations.map(({ type }) => String(type))).toEqual(
      mutations.map(({ name }) => `${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`),
    );
  });

  it('the last argument of each mutation is an idempotency key, unless a reason is listed', () => {
    const without = mutations.filter(({ args }) => {
      const last = args.at(-1);
      return last?.name !== 'idempotencyKey' || String(last.type) !== 'String';
    });
    expect(without.map(({ name }) => name).sort()).toEqual(Object.keys(withoutKey).sort());
  });

  it('an argument with a default does not accept null, so that null has one meaning', () => {
    const nullable = fields.flatMap(({ owner, field }) =>
      field.args
        .filter(({ type, defaultValue }) => defaultValue !== undefined && !isNonNullType(type))
        .map(({ name }) => `${owner}.${field.name}(${name}:)`),
    );
    expect(nullable).toEqual([]);
  });

  it('a page size has a default in the schema, unless the list can be read backward', () => {
    const withoutDefault = fields
      .filter(({ field }) => !field.args.some(({ name }) => name === 'last'))
      .filter(({ field }) =>
        field.args.some(({ name, defaultValue }) => name === 'first' && defaultValue === undefined),
      )
      .map(({ owner, field }) => `${owner}.${field.name}`);
    expect(withoutDefault).toEqual([]);
  });

  it('each scalar names its specification, if there is a public one', () => {
    const without = types
      .filter(isScalarType)
      .filter((type) => !isSpecifiedScalarType(type) && !type.specifiedByURL);
    expect(without.map(({ name }) => name)).toEqual(ownFormats);
  });

  it('each type, field and argument is described', () => {
    const undescribed = [
      ...types.filter((type) => !type.description).map(({ name }) => name),
      ...fields.flatMap(({ owner, field }) => [
        ...(field.description ? [] : [`${owner}.${field.name}`]),
        ...field.args
          .filter(({ description }) => !description)
          .map(({ name }) => `${owner}.${field.name}(${name}:)`),
      ]),
    ];
    expect(undescribed).toEqual([]);
  });
});
