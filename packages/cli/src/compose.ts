import { composeServices } from '@apollo/composition';
import { StartError } from '@cinegraph/kit/errors';
import { GraphQLError, Source, parse } from 'graphql';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isAllowed, readAllowedHints, unusedHints } from './compose-hints.js';
import {
  findingOfError,
  findingOfHint,
  printFinding,
  type Finding,
  type ParsedSubgraph,
} from './compose-report.js';
import { readSupergraphYaml, type SupergraphYaml, type Variables } from './supergraph-yaml.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const require = createRequire(import.meta.url);
const { version: pinnedVersion } = require('@apollo/composition/package.json') as { version: string };

const help = `Composes the supergraph from the list of subgraphs, offline.

  npm run compose                       supergraph.yaml -> gateway/supergraph.graphql
  npm run compose -- --check            writes nothing; fails when that file is stale, on errors,
                                        and on a warning that supergraph.hints.yaml does not allow
  npm run compose -- --config <file>    another list in rover's format; the supergraph goes to standard output
                     --output <file>    … or to this file
`;

/** What a run of compose touches besides files. */
export interface Surroundings {
  readonly variables: Variables;
  /** Folder that paths of the command line are relative to. */
  readonly folder: string;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

/**
 * The command `compose`: reads the list of subgraphs, composes, and writes or (`--check`) compares the supergraph.
 * Equal schemas give an equal file, byte for byte. Answers the exit code: 0, or 1 after saying what to do.
 */
export const compose = async (
  args: readonly string[],
  { variables, folder, print, complain }: Surroundings = ofThisProcess(),
): Promise<number> => {
  try {
    const { check, config, output, help: wantsHelp } = readArgs(args);
    if (wantsHelp) {
      print(help);
      return 0;
    }
    const configPath = config === undefined ? join(root, 'supergraph.yaml') : resolve(folder, config);
    const outputPath =
      output !== undefined
        ? resolve(folder, output)
        : config === undefined
          ? join(root, 'gateway/supergraph.graphql')
          : undefined;
    if (check && outputPath === undefined)
      throw new StartError('--check with --config needs --output: the file to check.');

    const nameOf = (path: string) => relative(folder, path) || path;
    const { supergraph, warnings } = composeSupergraph(readSupergraphYaml(configPath, variables), nameOf);
    const hintsPath = join(dirname(configPath), 'supergraph.hints.yaml');
    const allowed = readAllowedHints(hintsPath);
    const refused = warnings.filter((warning) => !isAllowed(warning, allowed));
    if (refused.length > 0) {
      complain(
        `${count(refused, 'warning')} of composition that ${nameOf(hintsPath)} does not allow:\n\n${printAll(refused)}`,
      );
    }

    if (outputPath === undefined) print(supergraph);
    else if (!check)
      print(
        write(outputPath, supergraph) ? `wrote ${nameOf(outputPath)}` : `${nameOf(outputPath)} is up to date`,
      );
    else {
      const unused = unusedHints(warnings, allowed);
      for (const { code, element } of unused) {
        complain(
          `${nameOf(hintsPath)} allows ${code} of ${element}, which no longer occurs: remove the entry.`,
        );
      }
      const stale = difference(read(outputPath), supergraph);
      if (stale !== undefined) complain(`${nameOf(outputPath)} is stale. Run: npm run compose\n\n${stale}`);
      if (stale !== undefined || unused.length > 0 || refused.length > 0) return 1;
      print(`${nameOf(outputPath)} is up to date`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    complain(error.message);
    return 1;
  }
};

/**
 * The supergraph of a list of subgraphs and the warnings of its composition. Throws a StartError with every error, each
 * with its field, subgraph, place and what to do; also when the list asks for another version than the installed one,
 * since another version may compose another supergraph.
 */
export const composeSupergraph = (
  { federationVersion, subgraphs }: SupergraphYaml,
  nameOf: (path: string) => string,
): { supergraph: string; warnings: readonly Finding[] } => {
  checkVersion(federationVersion);
  const parsed: (ParsedSubgraph & { url: string })[] = [];
  const errors: Finding[] = [];
  for (const { name, routingUrl, sdl, schemaPath } of subgraphs) {
    const file = schemaPath === undefined ? `${name} (inline sdl)` : nameOf(schemaPath);
    try {
      parsed.push({ name, url: routingUrl, file, document: parse(new Source(sdl, file)) });
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      const [place] = error.locations ?? [];
      errors.push({
        code: 'INVALID_GRAPHQL',
        element: undefined,
        subgraphs: [name],
        message: error.message,
        places: [place ? `${file}:${place.line}:${place.column}` : file],
      });
    }
  }
  if (errors.length > 0) throw failure(errors);

  const result = composeServices(
    parsed.map(({ name, url, document }) => ({ name, url, typeDefs: document })),
  );
  if (result.errors) throw failure(result.errors.map((error) => findingOfError(error, parsed)));
  return {
    supergraph: result.supergraphSdl.endsWith('\n') ? result.supergraphSdl : `${result.supergraphSdl}\n`,
    warnings: result.hints
      .filter(({ definition }) => definition.level.name === 'WARN')
      .map((hint) => findingOfHint(hint, parsed)),
  };
};

const checkVersion = (written: string | undefined) => {
  const exact = /^[=v](\d+\.\d+\.\d+.*)$/.exec(written ?? '')?.[1];
  if (exact === pinnedVersion) return;
  const asked =
    written === undefined
      ? 'federation_version is missing'
      : ['0', '1', 'latest-0', 'latest-1'].includes(written) || exact?.startsWith('0.')
        ? `federation_version ${written} is Federation 1, which is not composed here`
        : ['2', 'latest-2'].includes(written)
          ? `federation_version ${written} means whatever is newest`
          : `federation_version is ${written}`;
  throw new StartError(
    `${asked}, but the installed @apollo/composition is ${pinnedVersion}. Write "federation_version: =${pinnedVersion}", or install the version you want.`,
  );
};

const failure = (errors: readonly Finding[]) =>
  new StartError(`Composition failed with ${count(errors, 'error')}:\n\n${printAll(errors)}`);

const printAll = (findings: readonly Finding[]) => `${findings.map(printFinding).join('\n\n')}\n`;

const count = ({ length }: readonly unknown[], noun: string) => `${length} ${noun}${length === 1 ? '' : 's'}`;

const readArgs = (args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        check: { type: 'boolean', default: false },
        config: { type: 'string' },
        output: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new StartError(`${error instanceof Error ? error.message : String(error)}\n\n${help}`, {
      cause: error,
    });
  }
};

const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);

/** Replaces the file in one step, so that a gateway that watches it never sees half of it; answers whether it changed. */
const write = (path: string, content: string): boolean => {
  if (read(path) === content) return false;
  const next = `${path}.${process.pid}.next`;
  try {
    writeFileSync(next, content);
    renameSync(next, path);
  } catch (error) {
    throw new StartError(`Cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return true;
};

const shownLines = 12;

/** The lines between the equal head and the equal tail of both texts, at most some; undefined when they are equal. */
const difference = (committed: string | undefined, composed: string): string | undefined => {
  if (committed === composed) return undefined;
  if (committed === undefined) return '  the file does not exist';
  const before = committed.split('\n');
  const after = composed.split('\n');
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(before.length, after.length) - head && before.at(-1 - tail) === after.at(-1 - tail))
    tail += 1;
  const changed = [
    ...before.slice(head, before.length - tail).map((line) => `- ${line}`),
    ...after.slice(head, after.length - tail).map((line) => `+ ${line}`),
  ];
  const more = changed.length - shownLines;
  return [
    `  from line ${head + 1} on:`,
    ...changed.slice(0, shownLines),
    ...(more > 0 ? [`… and ${more} more`] : []),
  ].join('\n');
};

const ofThisProcess = (): Surroundings => ({
  variables: process.env,
  // npm goes to the root before it runs a script, and says here where the command was typed.
  folder: process.env['INIT_CWD'] ?? process.cwd(),
  print: (text) => process.stdout.write(`${text.trimEnd()}\n`),
  complain: (text) => process.stderr.write(`${text.trimEnd()}\n`),
});
