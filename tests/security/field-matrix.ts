import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';

/** Who asks, from the one who may least to the one who may most. */
export const askers = ['nobody', 'user', 'editor', 'admin'] as const;
export type Asker = (typeof askers)[number];

/** The one who may least of those who may see a field. */
const decisions: Readonly<Record<string, Asker>> = {
  everybody: 'nobody',
  user: 'user',
  editor: 'editor',
  admin: 'admin',
};

/** The fields that have a decision, by their coordinates such as `Query.movie`. */
export type Decisions = ReadonlyMap<string, Asker>;

/** Reads field-matrix.txt. Throws an error that says which line is not a decision. */
export const readDecisions = (
  text = readFileSync(join(import.meta.dirname, 'field-matrix.txt'), 'utf8'),
): Decisions => {
  const found = new Map<string, Asker>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [field = '', decision = '', ...more] = line.split(/ +/);
    const least = Object.hasOwn(decisions, decision) ? decisions[decision] : undefined;
    if (least === undefined || more.length > 0 || found.has(field))
      throw new Error(
        `field-matrix.txt has the line "${line}". Write each field once: <Type.field> <${Object.keys(decisions).join(' or ')}>.`,
      );
    found.set(field, least);
  }
  return found;
};

/** Returns the coordinates of all fields that a client can select, without introspection. */
export const fieldsOf = (schema: GraphQLSchema): readonly string[] =>
  Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .filter(({ name }) => !name.startsWith('__'))
    .flatMap((type) => Object.keys(type.getFields()).map((field) => `${type.name}.${field}`))
    .sort();

/** Returns a sentence for each field without a decision, and for each decision without a field. */
export const undecided = (schema: GraphQLSchema, decided: Decisions): readonly string[] => {
  const fields = fieldsOf(schema);
  return [
    ...fields
      .filter((field) => !decided.has(field))
      .map(
        (field) =>
          `${field} is new, and nobody has decided who may see it. Protect it in its subgraph's schema.graphql, if it needs that, and add a line to tests/security/field-matrix.txt: ${field} <${Object.keys(decisions).join(' or ')}>`,
      ),
    ...[...decided.keys()]
      .filter((field) => !fields.includes(field))
      .map(
        (field) => `${field} does not exist any more. Remove its line from tests/security/field-matrix.txt.`,
      ),
  ];
};

/** Whether the asker may see the field. */
export const may = (decided: Decisions, asker: Asker, field: string): boolean =>
  askers.indexOf(asker) >= askers.indexOf(decided.get(field) ?? 'admin');

/** A way from a root field to objects of a type. */
export interface Path {
  readonly operation: 'query' | 'mutation';
  /** The fields, with the type condition that the selection of each needs for the next one. */
  readonly steps: readonly { readonly type: string; readonly field: string; readonly on?: string }[];
}

/**
 * Returns the shortest way to each object type over fields that the asker may see. A type that the asker
 * cannot reach is absent.
 */
export const pathsOf = (
  schema: GraphQLSchema,
  decided: Decisions,
  asker: Asker,
): ReadonlyMap<string, Path> => {
  const paths = new Map<string, Path>();
  type Found = readonly [type: GraphQLObjectType | null | undefined, path: Path];
  const direct: Found[] = [
    [schema.getQueryType(), { operation: 'query', steps: [] }],
    [schema.getMutationType(), { operation: 'mutation', steps: [] }],
  ];
  // Which type an interface returns depends on the arguments, so that these ways are the last resort.
  const byCondition: Found[] = [];
  for (;;) {
    const next = direct.shift() ?? byCondition.shift();
    if (!next) return paths;
    const [type, path] = next;
    if (!type || paths.has(type.name)) continue;
    paths.set(type.name, path);
    for (const field of Object.values(type.getFields())) {
      if (!may(decided, asker, `${type.name}.${field.name}`)) continue;
      const step = { type: type.name, field: field.name };
      const returned = getNamedType(field.type);
      if (isObjectType(returned)) direct.push([returned, { ...path, steps: [...path.steps, step] }]);
      if (!isAbstractType(returned)) continue;
      for (const one of schema.getPossibleTypes(returned))
        byCondition.push([one, { ...path, steps: [...path.steps, { ...step, on: one.name }] }]);
    }
  }
};

/** Returns the selection of a field, with these arguments. Of objects it selects `__typename`. */
export const selectionOf = (field: GraphQLField<unknown, unknown>, args: string): string =>
  `${field.name}${args}${isCompositeType(getNamedType(field.type)) ? ' { __typename }' : ''}`;

/** Returns an operation that selects fields at the end of a path. */
export const operationOf = (
  { operation, steps }: Path,
  argumentsOf: (field: string) => string,
  selections: readonly string[],
): string =>
  `${operation} ${steps.reduceRight(
    (inner, { type, field, on }) =>
      `{ ${field}${argumentsOf(`${type}.${field}`)} ${on === undefined ? inner : `{ ... on ${on} ${inner} }`} }`,
    `{ ${['__typename', ...selections].join(' ')} }`,
  )}`;

/** Returns the first object at the end of a path in the data of a response; undefined if there is none. */
export const objectAt = (
  data: unknown,
  { steps }: Path,
  type: string,
): Readonly<Record<string, unknown>> | undefined => {
  let objects = [data];
  for (const { field } of steps)
    objects = objects
      .flatMap((value) => [(value as Readonly<Record<string, unknown>> | null | undefined)?.[field]])
      .flat(3)
      .filter((value) => value !== null && value !== undefined);
  return (objects as Readonly<Record<string, unknown>>[]).find((value) => value['__typename'] === type);
};
