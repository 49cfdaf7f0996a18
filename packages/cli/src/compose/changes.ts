import { CriticalityLevel, diff, type Change } from '@graphql-inspector/core';
import { StartError } from '@cinegraph/service/start-error';
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
import { readText } from './files.js';

/** How a client that was written for the published schema meets a change. */
export type Severity = 'breaking' | 'surprising' | 'safe';

/** A difference between the published schema and the composed one; code and element are what it is accepted by. */
export interface SchemaChange {
  readonly severity: Severity;
  readonly code: string;
  /**
   * `Type`, `Type.field`, `Type.field(argument:)`, `Union | Member`, `Type implements Interface`, `@directive`, `@directive on
   * PLACE`; with its new type (`Type.field: Int`, `Type.field(argument: Int!)`) where that is the change, so that whoever
   * accepts it accepts no other.
   */
  readonly element: string;
  readonly message: string;
}

/** The text of the schema that clients see, as it is kept in the file of the published one. */
export const printPublished = (apiSchema: GraphQLSchema): string => {
  const sdl = printSchema(apiSchema);
  return `# What clients have: the API schema of the last release. Moved on by: npm run compose -- --release\n# ${sealOf(buildSchema(sdl))}\n\n${sdl}\n`;
};

/** Tells an edit by hand, by mistake or to silence the check, from a release; of what the text says, not of its layout. */
const sealOf = (schema: GraphQLSchema): string =>
  `sha256 ${createHash('sha256').update(printSchema(schema)).digest('hex')}`;

/**
 * Reads the published schema; undefined where nothing was published yet. Throws a StartError for what is no schema, or is
 * not as a release left it.
 */
export const readPublished = (path: string, name: string): GraphQLSchema | undefined => {
  const sdl = readText(path);
  if (sdl === undefined) return undefined;
  let schema: GraphQLSchema;
  try {
    schema = buildSchema(new Source(sdl, name));
  } catch (error) {
    const [place] = error instanceof GraphQLError ? (error.locations ?? []) : [];
    const where = place ? `${name}:${place.line}:${place.column}` : name;
    throw new StartError(
      `${where} is no schema: ${error instanceof Error ? error.message : String(error)}\nIt is written by npm run compose -- --release only: take it back from git.`,
      { cause: error },
    );
  }
  if (!sdl.includes(`# ${sealOf(schema)}`))
    throw new StartError(
      `${name} is not as npm run compose -- --release left it: what clients have does not change by an edit. Take it back from git; to accept a break, name it as the check prints it.`,
    );
  return schema;
};

/** What changed for clients since the published schema, the worst first, each group by element. */
export const changesSince = async (
  published: GraphQLSchema,
  apiSchema: GraphQLSchema,
): Promise<readonly SchemaChange[]> => {
  // Both sides go through text, so that nothing differs but what the text says.
  const next = buildSchema(printSchema(apiSchema));
  const changes = (await diff(published, next))
    // The package's own type of a code is lost on the way here.
    .map((change) => ({ change, code: change.type as string }))
    .filter(({ code }) => !code.startsWith('DIRECTIVE_USAGE_'))
    .map(({ change, code }) => ({
      severity: severityOf(change, next),
      code,
      element: elementOf(change, code),
      message: change.message.replace(/'undefined'/g, 'none'),
    }));
  return changes.sort(
    (a, b) =>
      severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
      (a.element < b.element ? -1 : Number(a.element > b.element)),
  );
};

/** A breaking change as some lines: what, what clients see, what to do instead, and the entry that accepts it. */
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

/** All changes, a line each. */
export const printChanges = (changes: readonly SchemaChange[]): string =>
  changes
    .map(({ severity, element, code, message }) => `  ${severity.padEnd(10)} ${element}  ${code}: ${message}`)
    .join('\n');

const severities: readonly Severity[] = ['breaking', 'surprising', 'safe'];

const severityOf = (change: Change, next: GraphQLSchema): Severity => {
  if (change.criticality.level === CriticalityLevel.Breaking || becameRequired(change, next))
    return 'breaking';
  // An operation that has it twice is refused, whatever diff calls it.
  if (change.type === 'DIRECTIVE_REPEATABLE_REMOVED') return 'breaking';
  return change.criticality.level === CriticalityLevel.Dangerous ? 'surprising' : 'safe';
};

/** Taking the default from a non-null argument or input field makes it required, which diff only calls dangerous. */
const becameRequired = ({ type, path }: Change, next: GraphQLSchema): boolean => {
  const [typeName = '', fieldName = '', argumentName = ''] = (path ?? '').split('.');
  if (type === 'DIRECTIVE_ARGUMENT_DEFAULT_VALUE_CHANGED') {
    const given = next.getDirective(typeName.slice('@'.length))?.args.find(({ name }) => name === fieldName);
    return given !== undefined && isRequiredArgument(given);
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

const elementOf = ({ path = 'schema', meta }: Change, code: string): string => {
  const names = meta as Readonly<Record<string, unknown>>;
  const member = names['removedUnionMemberTypeName'] ?? names['addedUnionMemberTypeName'];
  if (typeof member === 'string') return `${path} | ${member}`;
  const interfaceName = names['removedInterfaceName'] ?? names['addedInterfaceName'];
  if (typeof interfaceName === 'string') return `${path} implements ${interfaceName}`;
  const place = names['removedDirectiveLocation'] ?? names['addedDirectiveLocation'];
  if (typeof place === 'string') return `${path} on ${place}`;
  const newType = newTypes.map((name) => names[name]).find((type) => typeof type === 'string');
  const typed = newType === undefined ? '' : ` ${newType}`;
  const steps = path.split('.');
  const argument = code.startsWith('FIELD_ARGUMENT_') ? 2 : code.startsWith('DIRECTIVE_ARGUMENT_') ? 1 : 0;
  if (argument > 0 && steps[argument] !== undefined)
    return `${steps.slice(0, argument).join('.')}(${steps[argument]}:${typed})`;
  return `${path.replace(/\.@.*$/, '')}${typed && `:${typed}`}`;
};

/** Where diff puts the type that something has now. */
const newTypes = ['newFieldType', 'newArgumentType', 'newInputFieldType', 'newDirectiveArgumentType'];
