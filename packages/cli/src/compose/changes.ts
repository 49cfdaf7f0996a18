import { CriticalityLevel, diff, type Change } from '@graphql-inspector/core';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import {
  GraphQLError,
  Source,
  buildSchema,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  printSchema,
  type GraphQLSchema,
} from 'graphql';
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { consequences, furtherConsequence } from './advice.js';
import { conflicts } from './field-conflicts.js';
import { readText } from './files.js';

/** What a change means for a client that was written for the published schema. */
export type Severity = 'breaking' | 'surprising' | 'safe';

/** A difference between the published and the composed schema. It is accepted by its code and element. */
export interface SchemaChange {
  readonly severity: Severity;
  readonly code: string;
  /**
   * `Type`, `Type.field`, `Type.field(argument:)`, `Union | Member`, `Type implements Interface`,
   * `@directive` or `@directive on LOCATION`. If the type of a field or argument changed, the new type is
   * part of the element (`Type.field: Int`, `Type.field(argument: Int!)`), so that an acceptance holds for
   * this type only.
   */
  readonly element: string;
  readonly message: string;
}

/** Returns the content of the file of the published schema. */
export const printPublished = (apiSchema: GraphQLSchema): string => {
  const sdl = printSchema(apiSchema);
  return `# What clients have: the API schema of the last release. Moved on by: npm run compose -- --release\n# ${sealOf(buildSchema(sdl))}\n\n${sdl}\n`;
};

/**
 * Returns the checksum that distinguishes a release from an edit by hand. It ignores the layout of the text.
 */
const sealOf = (schema: GraphQLSchema): string =>
  `sha256 ${createHash('sha256').update(printSchema(schema)).digest('hex')}`;

/**
 * Reads the published schema; returns undefined if nothing was published yet. Throws a StartError if the file
 * is not a valid schema, or was changed since the release that wrote it.
 */
export const readPublished = (path: string, name: string): GraphQLSchema | undefined => {
  const sdl = readText(path);
  if (sdl === undefined) return undefined;
  let schema: GraphQLSchema;
  try {
    schema = buildSchema(new Source(sdl, name));
  } catch (error) {
    const [location] = error instanceof GraphQLError ? (error.locations ?? []) : [];
    const where = location ? `${name}:${location.line}:${location.column}` : name;
    throw new StartError(
      `${where} is not a valid schema: ${reasonOf(error)}\nOnly npm run compose -- --release writes it. Restore it from git.`,
      { cause: error },
    );
  }
  if (!sdl.includes(`# ${sealOf(schema)}`))
    throw new StartError(
      `${name} was changed since npm run compose -- --release wrote it. An edit does not change the schema that clients rely on. Restore it from git; to accept a breaking change, add the entry that the check prints.`,
    );
  return schema;
};

/** Returns what changed for clients since the published schema, the most severe first, ordered by element. */
export const changesSince = async (
  published: GraphQLSchema,
  apiSchema: GraphQLSchema,
): Promise<readonly SchemaChange[]> => {
  // Both schemas are built from text, so that they differ in their texts only.
  const next = buildSchema(printSchema(apiSchema));
  const changes = (await diff(published, next))
    // The type of `change.type` is lost in the generics of the package, so it is stated here.
    .map((change) => ({ change, code: change.type as string }))
    .filter(({ code }) => !code.startsWith('DIRECTIVE_USAGE_'))
    .map(({ change, code }): SchemaChange => ({
      ...(conflicts(change, published, next)
        ? { severity: 'breaking', code: 'FIELD_TYPE_CONFLICTS' }
        : { severity: severityOf(change, next), code }),
      element: elementOf(change, code),
      message: change.message.replace(/'undefined'/g, 'none'),
    }));
  return [...changes, ...oneOfAdded(published, next)].sort(
    (a, b) =>
      severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
      (a.element < b.element ? -1 : Number(a.element > b.element)),
  );
};

/**
 * Returns a breaking change as lines: what it is, its effect on clients, the alternative, and the entry that
 * accepts it.
 */
export const printBreak = ({ code, element, message }: SchemaChange, acceptedIn: string): string => {
  const { clients, instead } = consequences[code] ?? furtherConsequence;
  return [
    `  ${element}  ${code}`,
    `    ${message}`,
    `    clients: ${clients}`,
    `    instead: ${instead}`,
    `    to accept it, add to ${acceptedIn}:`,
    `      - code: ${code}`,
    `        ${stringify({ element }, { lineWidth: 0, singleQuote: true }).trimEnd()}`,
    '        reason: # why no client is hurt',
  ].join('\n');
};

/** Returns all changes, one line each. */
export const printChanges = (changes: readonly SchemaChange[]): string =>
  changes
    .map(({ severity, element, code, message }) => `  ${severity.padEnd(10)} ${element}  ${code}: ${message}`)
    .join('\n');

const severities: readonly Severity[] = ['breaking', 'surprising', 'safe'];

const severityOf = (change: Change, next: GraphQLSchema): Severity => {
  if (change.criticality.level === CriticalityLevel.Breaking || becameRequired(change, next))
    return 'breaking';
  // An operation that uses the directive twice is rejected, although `diff` does not call this breaking.
  if (change.type === 'DIRECTIVE_REPEATABLE_REMOVED') return 'breaking';
  return change.criticality.level === CriticalityLevel.Dangerous ? 'surprising' : 'safe';
};

/**
 * Whether a non-null argument or input field lost its default and so became required, which `diff` calls
 * dangerous only.
 */
const becameRequired = ({ type, path }: Change, next: GraphQLSchema): boolean => {
  const [typeName = '', fieldName = '', argumentName = ''] = (path ?? '').split('.');
  if (type === 'DIRECTIVE_ARGUMENT_DEFAULT_VALUE_CHANGED') {
    const argument = next
      .getDirective(typeName.slice('@'.length))
      ?.args.find(({ name }) => name === fieldName);
    return argument !== undefined && isRequiredArgument(argument);
  }
  const owner = next.getType(typeName);
  if (type === 'INPUT_FIELD_DEFAULT_VALUE_CHANGED' && isInputObjectType(owner)) {
    const field = owner.getFields()[fieldName];
    return field !== undefined && isRequiredInputField(field);
  }
  if (type !== 'FIELD_ARGUMENT_DEFAULT_CHANGED' || !(isObjectType(owner) || isInterfaceType(owner)))
    return false;
  const argument = owner.getFields()[fieldName]?.args.find(({ name }) => name === argumentName);
  return argument !== undefined && isRequiredArgument(argument);
};

/** Returns a change for each input that has `@oneOf` from now on, which `diff` does not compare. */
const oneOfAdded = (published: GraphQLSchema, next: GraphQLSchema): SchemaChange[] =>
  Object.values(next.getTypeMap()).flatMap((type): SchemaChange[] => {
    const before = published.getType(type.name);
    if (!isInputObjectType(type) || !isInputObjectType(before) || !type.isOneOf || before.isOneOf) return [];
    const message = `Input '${type.name}' accepts exactly one field`;
    return [{ severity: 'breaking', code: 'INPUT_ONE_OF_ADDED', element: type.name, message }];
  });

const elementOf = ({ path = 'schema', meta }: Change, code: string): string => {
  const names = meta as Readonly<Record<string, unknown>>;
  const member = names['removedUnionMemberTypeName'] ?? names['addedUnionMemberTypeName'];
  if (typeof member === 'string') return `${path} | ${member}`;
  const interfaceName = names['removedInterfaceName'] ?? names['addedInterfaceName'];
  if (typeof interfaceName === 'string') return `${path} implements ${interfaceName}`;
  const location = names['removedDirectiveLocation'] ?? names['addedDirectiveLocation'];
  if (typeof location === 'string') return `${path} on ${location}`;
  const newType = newTypes.map((name) => names[name]).find((type) => typeof type === 'string');
  const typed = newType === undefined ? '' : ` ${newType}`;
  const steps = path.split('.');
  const argument = code.startsWith('FIELD_ARGUMENT_') ? 2 : code.startsWith('DIRECTIVE_ARGUMENT_') ? 1 : 0;
  if (argument > 0 && steps[argument] !== undefined)
    return `${steps.slice(0, argument).join('.')}(${steps[argument]}:${typed})`;
  return `${path.replace(/\.@.*$/, '')}${typed && `:${typed}`}`;
};

/** The names under which `diff` reports the new type. */
const newTypes = ['newFieldType', 'newArgumentType', 'newInputFieldType', 'newDirectiveArgumentType'];
