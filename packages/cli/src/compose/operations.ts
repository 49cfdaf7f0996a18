import { GraphQLError, Source, parse, validate, type GraphQLSchema } from 'graphql';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const leftOut = new Set(['node_modules', 'dist', 'generated']);

/**
 * Holds the saved operations below a folder against the schema that clients see; a file stands for itself, as it is
 * pasted. Answers a line for each fault, `file:line:column message`, and how many files there were.
 */
export const checkOperations = (
  folder: string,
  schema: GraphQLSchema,
  nameOf: (path: string) => string,
): { files: number; faults: readonly string[] } => {
  const paths = operationFiles(folder);
  return {
    files: paths.length,
    faults: paths.flatMap((path) => faultsOf(readFileSync(path, 'utf8'), nameOf(path), schema)),
  };
};

/** The files with operations below a folder, in the order of their names. */
const operationFiles = (folder: string): readonly string[] => {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return leftOut.has(entry.name) ? [] : operationFiles(path);
      return entry.name.endsWith('.graphql') ? [path] : [];
    });
};

const faultsOf = (text: string, name: string, schema: GraphQLSchema): readonly string[] => {
  const tell = ({ message, locations }: GraphQLError) => {
    const [place] = locations ?? [];
    return `${place ? `${name}:${place.line}:${place.column}` : name}  ${message}`;
  };
  try {
    return validate(schema, parse(new Source(text, name))).map(tell);
  } catch (error) {
    if (error instanceof GraphQLError) return [tell(error)];
    throw error;
  }
};
