import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';

/**
 * One subgraph of the list with its SDL. `schemaPath` is the file of the SDL; it is absent for inline SDL.
 */
export interface SubgraphEntry {
  readonly name: string;
  readonly routingUrl: string;
  readonly sdl: string;
  readonly schemaPath?: string;
}

/** The content of a supergraph.yaml with expanded variables. Subgraphs are ordered by name. */
export interface SupergraphYaml {
  /** The version as the file has it, e.g. `=2.14.4`; undefined if the file has none. */
  readonly federationVersion: string | undefined;
  readonly subgraphs: readonly SubgraphEntry[];
}

/** The variables that the file may use; usually the environment of the process. */
export type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads a list of subgraphs as rover does (its `SupergraphConfig`): variables are expanded in every value,
 * paths of schema files are relative to the list, and unknown keys are ignored. A schema that would have to
 * be fetched from a network is a problem. Throws a StartError that names every problem of the file.
 */
export const readSupergraphYaml = (path: string, variables: Variables): SupergraphYaml => {
  const document = readYaml(path);
  const problems: string[] = [];
  const expanded = expandAll(document, variables, problems);
  if (!isRecord(expanded) || !isRecord(expanded['subgraphs'])) {
    throw new StartError(
      `${path} has no "subgraphs:" with a name, routing_url and schema for each subgraph.`,
    );
  }

  const version = expanded['federation_version'];
  if (
    version !== undefined &&
    version !== null &&
    typeof version !== 'string' &&
    typeof version !== 'number'
  ) {
    problems.push('federation_version must be a string like =2.14.4');
  }
  const subgraphs: SubgraphEntry[] = [];
  for (const [name, value] of Object.entries(expanded['subgraphs'])) {
    const entry = readEntry(name, value, dirname(resolve(path)));
    if (typeof entry === 'string') problems.push(`subgraph ${name}: ${entry}`);
    else subgraphs.push(entry);
  }
  if (problems.length === 0 && subgraphs.length === 0) problems.push('it lists no subgraph');
  if (problems.length > 0) throw new StartError(`${path} is not usable:\n  ${problems.join('\n  ')}`);
  return {
    federationVersion:
      typeof version === 'string' || typeof version === 'number' ? String(version) : undefined,
    subgraphs: subgraphs.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
};

/**
 * Expands one value: `$NAME`, `${NAME}`, `${NAME:-default}` and `$$` for a dollar sign, where NAME is
 * `env.<variable>` or `file.<path>`. The default replaces a missing variable or file. Without a default, a
 * missing variable throws a StartError, and a missing file leaves the text unchanged. Inserted text is not
 * expanded again.
 */
export const expandVariables = (text: string, variables: Variables): string =>
  text.replace(
    /\$\$|\$\{([^}]*)\}|\$([\p{Alphabetic}\p{Number}_]+)/gu,
    (whole: string, braced: string | undefined, bare: string | undefined) => {
      if (whole === '$$') return '$';
      const split = braced === undefined ? -1 : braced.indexOf(':-');
      const fallback = braced !== undefined && split > 0 ? braced.slice(split + 2) : undefined;
      const name = bare ?? (split > 0 ? braced?.slice(0, split) : braced) ?? '';
      const value = lookUp(name, variables);
      if (typeof value === 'string') return value;
      if (fallback !== undefined) return fallback;
      if (value === undefined) return whole;
      throw new StartError(value.problem);
    },
  );

/** Returns the value, undefined if the text stays unchanged, or the reason why it cannot be expanded. */
const lookUp = (name: string, variables: Variables): string | undefined | { problem: string } => {
  if (name.startsWith('env.')) {
    const variable = name.slice('env.'.length);
    return (
      variables[variable] ?? {
        problem: `the variable ${variable} is not set: set it, or write \${${name}:-default}`,
      }
    );
  }
  if (name.startsWith('file.')) {
    const file = name.slice('file.'.length);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }
  return { problem: `"$${name}" is not a variable: write \${env.NAME}, or $$ for a dollar sign` };
};

const readYaml = (path: string): unknown => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError(`Cannot read the list of subgraphs ${path}: ${firstLine(error)}`, { cause: error });
  }
  try {
    return parseYaml(text);
  } catch (error) {
    throw new StartError(`${path} is not valid YAML: ${firstLine(error)}`, { cause: error });
  }
};

const expandAll = (value: unknown, variables: Variables, problems: string[]): unknown => {
  if (typeof value === 'string') {
    try {
      return expandVariables(value, variables);
    } catch (error) {
      problems.push(firstLine(error));
      return value;
    }
  }
  if (Array.isArray(value)) return value.map((item: unknown) => expandAll(item, variables, problems));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, expandAll(item, variables, problems)]),
  );
};

/** Returns the entry, or a text that says what is wrong with it. */
const readEntry = (name: string, value: unknown, folder: string): SubgraphEntry | string => {
  if (!isRecord(value) || !isRecord(value['schema'])) return 'it needs "schema:" with "file:" or "sdl:"';
  const { routing_url: routingUrl, schema } = value;
  const fetched = ['remote_url', 'subgraph_url', 'graphref'].find((key) => key in schema);
  if (typeof schema['file'] !== 'string' && fetched !== undefined) {
    return `"${fetched}:" would fetch the schema from a network, but composition works offline: save the SDL in a file and name it with "file:"`;
  }
  if (typeof routingUrl !== 'string')
    return 'it needs a "routing_url:", the URL at which the gateway reaches it';
  if (typeof schema['file'] === 'string') {
    const schemaPath = resolve(folder, schema['file']);
    try {
      return { name, routingUrl, schemaPath, sdl: readFileSync(schemaPath, 'utf8') };
    } catch (error) {
      return `cannot read its schema ${schema['file']}: ${firstLine(error)}`;
    }
  }
  if (typeof schema['sdl'] === 'string') return { name, routingUrl, sdl: schema['sdl'] };
  return 'it needs "schema:" with "file:" or "sdl:"';
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const firstLine = (error: unknown): string => reasonOf(error).split('\n')[0] ?? '';
