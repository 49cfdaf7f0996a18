import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse, validate, type GraphQLSchema } from 'graphql';

/** A saved operation that the explorer offers. The variables are a JSON object as text. */
export interface Example {
  /** The name of its file without `.graphql`. */
  readonly name: string;
  readonly title: string;
  readonly query: string;
  readonly variables?: string;
}

/** The example that the explorer opens with. */
const firstName = 'first-query';

/**
 * Reads the saved operations of a folder that are valid on `schema`; `first-query` is the first, the others
 * are in order of their names. The comments before an operation may contain `# Variables: {…}`;
 * the first other one is its title. A folder that does not exist has no operations.
 */
export const readExamples = async (folder: string, schema: GraphQLSchema): Promise<readonly Example[]> => {
  const names = (await readdir(folder).catch(() => []))
    .filter((file) => file.endsWith('.graphql'))
    .map((file) => file.slice(0, -'.graphql'.length))
    .sort((left, right) => rank(left) - rank(right) || left.localeCompare(right));
  const read = await Promise.all(
    names.map(async (name) =>
      readExample(name, await readFile(path.join(folder, `${name}.graphql`), 'utf8')),
    ),
  );
  return read.filter(({ query }) => isValid(schema, query));
};

const rank = (name: string): number => (name === firstName ? 0 : 1);

const readExample = (name: string, text: string): Example => {
  const comments = [...text.matchAll(/^# *(.*)$/gm)].map(([, comment = '']) => comment);
  const variables = /^# *Variables:(.*)$/m.exec(text)?.[1]?.trim();
  return {
    name,
    title: comments.find((comment) => !comment.startsWith('Variables:')) ?? 'An operation to start with.',
    query: text.replace(/^#.*\n/gm, '').trim(),
    ...(variables !== undefined && { variables }),
  };
};

const isValid = (schema: GraphQLSchema, query: string): boolean => {
  try {
    return validate(schema, parse(query)).length === 0;
  } catch {
    return false;
  }
};
