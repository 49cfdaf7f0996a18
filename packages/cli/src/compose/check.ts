import { isAccepted, readAccepted, unusedEntries, withoutEntries } from './accepted.js';
import { changesSince, printBreak, printPublished, readPublished, type SchemaChange } from './changes.js';
import { count, difference, readText, writeText } from './files.js';
import { checkOperations } from './operations.js';
import { printFindings, type Composed } from './schemas.js';

/** The files that a run of compose reads and writes, and how it names them in its output. */
export interface Files {
  readonly list: string;
  readonly output: string | undefined;
  /** The list of allowed warnings. */
  readonly hints: string;
  /** The list of accepted breaking changes. */
  readonly accepted: string;
  readonly published: string;
  /** True for our own graph, which has been published; another list may not have been published yet. */
  readonly mustBePublished: boolean;
  readonly operations: string;
  readonly nameOf: (path: string) => string;
}

/** The files of a run that writes the supergraph. */
export type WrittenFiles = Files & { readonly output: string };

/** How a run prints results and problems. */
export interface Voice {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

/** Prints the warnings that are not allowed; returns whether there are none. */
export const warn = (
  { warnings }: Composed,
  { hints, nameOf }: Files,
  complain: (text: string) => void,
): boolean => {
  const allowed = readAccepted(hints);
  const refused = warnings.filter((warning) => !isAccepted(warning, allowed));
  if (refused.length === 0) return true;
  complain(
    `${count(refused, 'composition warning')} that ${nameOf(hints)} does not allow:\n\n${printFindings(refused)}`,
  );
  return false;
};

/**
 * Runs every check of CI and prints each one that fails, not only the first. Returns whether all of them
 * pass.
 */
export const passes = async (
  composed: Composed,
  files: WrittenFiles,
  { print, complain }: Voice,
): Promise<boolean> => {
  const { output, hints, accepted, published, nameOf } = files;
  let passed = warn(composed, files, complain);
  const fail = (text: string): void => {
    passed = false;
    complain(text);
  };
  for (const { code, element } of unusedEntries(composed.warnings, readAccepted(hints)))
    fail(`${nameOf(hints)} allows ${code} of ${element}, which no longer occurs: remove the entry.`);
  const stale = difference(readText(output), composed.supergraph);
  if (stale !== undefined) fail(`${nameOf(output)} is stale. Run: npm run compose\n\n${stale}`);

  const apiSchema = composed.apiSchema();
  const schema = readPublished(published, nameOf(published));
  if (!schema && files.mustBePublished)
    fail(
      `${nameOf(published)}, the schema that clients rely on, does not exist. Restore it from git, or run: npm run compose -- --release`,
    );
  const breaks = (schema ? await changesSince(schema, apiSchema) : []).filter(
    ({ severity }) => severity === 'breaking',
  );
  const entries = readAccepted(accepted);
  const refused = breaks.filter((change) => !isAccepted(change, entries));
  if (refused.length > 0) fail(describeBreaks(refused, files));
  for (const { code, element } of unusedEntries(breaks, entries))
    fail(`${nameOf(accepted)} accepts ${code} of ${element}, which no longer occurs: remove the entry.`);

  const { files: operations, faults } = checkOperations(files.operations, apiSchema, nameOf);
  if (faults.length > 0)
    fail(
      `${count(faults, 'fault')} in the saved operations. Correct them, or the schema.\n\n  ${faults.join('\n  ')}\n`,
    );
  if (!passed) return false;
  print(`${nameOf(output)} is up to date`);
  if (schema)
    print(`no client of ${nameOf(published)} breaks${breaks.length > 0 ? ', except as accepted' : ''}`);
  if (operations > 0) print(`operations in ${nameOf(files.operations)} are valid: ${operations} files`);
  return true;
};

const describeBreaks = (breaks: readonly SchemaChange[], { accepted, published, nameOf }: Files): string =>
  [
    `${count(breaks, 'change')} ${breaks.length === 1 ? 'breaks' : 'break'} clients of ${nameOf(published)}:`,
    ...breaks.map((change) => printBreak(change, nameOf(accepted))),
    '',
  ].join('\n\n');

/**
 * Writes the composed schema as the published one, and removes the accepted changes, which now are part of
 * it.
 */
export const publish = (
  { apiSchema }: Composed,
  { published, accepted, nameOf }: Files,
  print: (text: string) => void,
): void => {
  const changed = writeText(published, printPublished(apiSchema()));
  print(changed ? `wrote ${nameOf(published)}` : `${nameOf(published)} is up to date`);
  const text = readText(accepted);
  if (text !== undefined && writeText(accepted, withoutEntries(text))) print(`emptied ${nameOf(accepted)}`);
};
