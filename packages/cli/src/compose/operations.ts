import { deferRules, withDefer } from '@cinegraph/service/defer';
import { GraphQLError, Source, parse, specifiedRules, validate, type GraphQLSchema } from 'graphql';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const ignored = new Set(['node_modules', 'dist', 'generated']);

/**
 * Validates the saved operations in a folder and its subfolders, each file by itself, against the schema that
 * clients see, with the `@defer` that the gateway adds. Returns a line for each fault,
 * `file:line:column message`, and the number of files.
 */
export const checkOperations = (
  folder: string,
  schema: GraphQLSchema,
  nameOf: (path: string) => string,
): { files: number; faults: readonly string[] } => {
  const paths = operationFiles(folder);
  const served = withDefer(schema);
  return {
    files: paths.length,
    faults: paths.flatMap((path) => faultsOf(readFileSync(path, 'utf8'), nameOf(path), served)),
  };
};

/** Returns the files with operations in a folder and its subfolders, ordered by name. */
const operationFiles = (folder: string): readonly string[] => {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return ignored.has(entry.name) ? [] : operationFiles(path);
      return entry.name.endsWith('.graphql') ? [path] : [];
    });
};

/** The rules of the gateway. */
const rules = [...specifiedRules, deferRules];

const faultsOf = (text: string, name: string, schema: GraphQLSchema): readonly string[] => {
  const describe = ({ message, locations }: GraphQLError) => {
    const [location] = locations ?? [];
    return `${location ? `${name}:${location.line}:${location.column}` : name}  ${message}`;
  };
  try {
    return validate(schema, parse(new Source(text, name)), rules).map(describe);
  } catch (error) {
    if (error instanceof GraphQLError) return [describe(error)];
    throw error;
  }
};
