import { StartError } from '@cinegraph/service/start-error';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';

/** One subgraph of the list: its SDL is read already, `schemaPath` is where it came from (absent for inline SDL). */
export interface SubgraphEntry {
  readonly name: string;
  readonly routingUrl: string;
  readonly sdl: string;
  readonly schemaPath?: string;
}

/** A supergraph.yaml, its variables expanded. Subgraphs are in the order of their names, whatever the file's order. */
export interface SupergraphYaml {
  /** As written, e.g. `=2.14.4`; undefined when the file leaves it out. */
  readonly federationVersion: string | undefined;
  readonly subgraphs: readonly SubgraphEntry[];
}

/** Variables that the file may name; usually the process's environment. */
export type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads a list of subgraphs as rover reads it (its `SupergraphConfig`): variables are expanded in every value, schema
 * files are relative to the list itself, unknown keys are ignored. Schemas that would have to be fetched from a network
 * are refused. Throws a StartError that names every problem of the file at once.
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
    problems.push('federation_version must be a text like =2.14.4');
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
 * Expands one value: `$NAME`, `${NAME}`, `${NAME:-default}` and `$$` for a dollar sign, where NAME is `env.<variable>`
 * or `file.<path>`. A default stands in for what is missing; without one a missing variable throws, a missing file
 * leaves the text as it is. What was put in is not expanded again.
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

/** A value; undefined where the text stays as it is; or why it cannot be expanded. */
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
  return { problem: `"$${name}" is no variable: write \${env.NAME}, or $$ for a dollar sign` };
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

/** The entry, or what is wrong with it. */
const readEntry = (name: string, value: unknown, folder: string): SubgraphEntry | string => {
  if (!isRecord(value) || !isRecord(value['schema'])) return 'it needs "schema:" with "file:" or "sdl:"';
  const { routing_url: routingUrl, schema } = value;
  const fetched = ['remote_url', 'subgraph_url', 'graphref'].find((key) => key in schema);
  if (typeof schema['file'] !== 'string' && fetched !== undefined) {
    return `"${fetched}:" would fetch the schema from a network, and composing works offline: save the SDL in a file and name it with "file:"`;
  }
  if (typeof routingUrl !== 'string')
    return 'it needs a "routing_url:", the address where the gateway finds it';
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

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
