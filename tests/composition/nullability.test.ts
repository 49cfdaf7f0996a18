import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { Kind, parse, type ConstDirectiveNode, type ObjectTypeDefinitionNode } from 'graphql';

const supergraph = parse(
  readFileSync(fileURLToPath(new URL('../../gateway/supergraph.graphql', import.meta.url)), 'utf8'),
);
const types = supergraph.definitions.filter((definition) => definition.kind === Kind.OBJECT_TYPE_DEFINITION);

/** Fields that may be non-null although they are fetched from another subgraph, each with its reason. */
const onlyByNode =
  'metadata knows a rating only as a reference of node(id), which is null without its subgraph';
const reasons: Readonly<Record<string, string>> = {
  'Rating.score': onlyByNode,
  'Rating.createdAt': onlyByNode,
  'Rating.updatedAt': onlyByNode,
};

const textOf = (directive: ConstDirectiveNode, argument: string): string => {
  const value = directive.arguments?.find(({ name }) => name.value === argument)?.value;
  return value?.kind === Kind.ENUM || value?.kind === Kind.STRING ? value.value : '';
};

const named = (directives: readonly ConstDirectiveNode[] | undefined, name: string) =>
  directives?.filter((directive) => directive.name.value === name) ?? [];

/** Returns the non-null fields of an entity that one of its subgraphs has to fetch from another one. */
const fetchedNonNullFields = (type: ObjectTypeDefinitionNode): string[] => {
  const keys = named(type.directives, 'join__type');
  const subgraphs = new Set(keys.map((directive) => textOf(directive, 'graph')));
  if (!keys.some((directive) => textOf(directive, 'key') !== '')) return [];
  return (type.fields ?? [])
    .filter((field) => {
      const owners = named(field.directives, 'join__field');
      const isEverywhere = owners.length === 0 || owners.length === subgraphs.size;
      return field.type.kind === Kind.NON_NULL_TYPE && !isEverywhere;
    })
    .map((field) => `${type.name.value}.${field.name.value}`);
};

describe('the nullability of the supergraph', () => {
  it('no field of an entity that another subgraph contributes is non-null without a reason', () => {
    const found = types.flatMap(fetchedNonNullFields);
    expect(found.filter((field) => reasons[field] === undefined)).toEqual([]);
    expect(Object.keys(reasons).filter((field) => !found.includes(field))).toEqual([]);
  });

  it('every field of Query and Mutation is nullable, so that a failure costs that field only', () => {
    const roots = types.filter(({ name }) => name.value === 'Query' || name.value === 'Mutation');
    const nonNull = roots.flatMap(({ name, fields = [] }) =>
      fields
        .filter(({ type }) => type.kind === Kind.NON_NULL_TYPE)
        .map((field) => `${name.value}.${field.name.value}`),
    );
    expect(roots).toHaveLength(2);
    expect(nonNull).toEqual([]);
  });
});
