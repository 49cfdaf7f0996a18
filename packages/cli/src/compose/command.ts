import { StartError, UsageError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { helpOf } from '../../bootstrap/help.mjs';
import { changesSince, printChanges, readPublished } from './changes.js';
import { passes, publish, warn, type Files, type Voice, type WrittenFiles } from './check.js';
import { count, writeText } from './files.js';
import { composeSupergraph, type Composed } from './schemas.js';
import { watchSchemas } from './watch.js';
import { readSupergraphYaml, type Variables } from '../supergraph-yaml.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** What a run of compose uses besides files. */
export interface Surroundings extends Voice {
  readonly variables: Variables;
  /** The folder to which paths in the arguments are relative. */
  readonly folder: string;
  /** Ends `--watch` when it is aborted. */
  readonly signal?: AbortSignal;
}

/**
 * The command `compose`: reads the list of subgraphs, composes, and writes the supergraph, compares it
 * (`--check`), publishes it (`--release`) or composes again after each change (`--watch`). Equal schemas give
 * an equal file, byte for byte. Returns the exit code: 0, or 1 after printing what to do.
 */
export const compose = async (
  args: readonly string[],
  overrides: Partial<Surroundings> = {},
): Promise<number> => {
  const surroundings = { ...ofThisProcess(), ...overrides };
  const { folder, variables, print, complain } = surroundings;
  try {
    const options = readArgs(args);
    const { check, release, watch } = options;
    if (options.help) {
      print(helpOf.compose);
      return 0;
    }
    const modes = Object.entries({ check, release, watch }).flatMap(([name, on]) =>
      on ? [`--${name}`] : [],
    );
    if (modes.length > 1) throw new UsageError(`${modes.join(' and ')} cannot be combined.`);
    const files = filesOf(folder, options);
    const read = () => readSupergraphYaml(files.list, variables);
    if (files.output === undefined) {
      if (modes[0] !== undefined)
        throw new UsageError(`${modes[0]} with --config needs --output, the path of the supergraph file.`);
      print(composeAndWarn(read(), files, surroundings).supergraph);
      return 0;
    }
    const written: WrittenFiles = { ...files, output: files.output };
    if (watch) return await keepComposing(read, written, surroundings);
    const composed = composeSupergraph(read(), files.nameOf);
    if (!check && !release) {
      warn(composed, written, complain);
      print(await writeSupergraph(composed, written));
      return 0;
    }
    if (!(await passes(composed, written, surroundings))) return 1;
    if (release) publish(composed, written, print);
    return 0;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    complain(error.message);
    return error.exitCode;
  }
};

const filesOf = (folder: string, { config, output, release }: ReturnType<typeof readArgs>): Files => {
  const list = config === undefined ? join(root, 'supergraph.yaml') : resolve(folder, config);
  const standard = config === undefined ? join(root, 'gateway/supergraph.graphql') : undefined;
  const outputPath = output === undefined ? standard : resolve(folder, output);
  return {
    list,
    output: outputPath,
    hints: join(dirname(list), 'supergraph.hints.yaml'),
    accepted: join(dirname(list), 'supergraph.changes.yaml'),
    published: join(dirname(standard ?? outputPath ?? list), 'published.graphql'),
    mustBePublished: config === undefined && !release,
    operations: join(dirname(list), 'examples'),
    nameOf: (path) => relative(folder, path) || path,
  };
};

const composeAndWarn = (
  list: Parameters<typeof composeSupergraph>[0],
  files: Files,
  { complain }: Surroundings,
): Composed => {
  const composed = composeSupergraph(list, files.nameOf);
  warn(composed, files, complain);
  return composed;
};

/** Writes the supergraph; returns a text that says what was written and what changed for clients. */
const writeSupergraph = async (
  composed: Composed,
  { output, published, nameOf }: WrittenFiles,
): Promise<string> => {
  const schema = readPublished(published, nameOf(published));
  const written = writeText(output, composed.supergraph);
  const line = written ? `wrote ${nameOf(output)}` : `${nameOf(output)} is up to date`;
  const changes = schema ? await changesSince(schema, composed.apiSchema()) : [];
  if (changes.length === 0) return line;
  return `${line}\n\n${count(changes, 'change')} since ${nameOf(published)}:\n${printChanges(changes)}`;
};

const keepComposing = async (
  read: () => ReturnType<typeof readSupergraphYaml>,
  files: WrittenFiles,
  surroundings: Surroundings,
): Promise<number> => {
  const { print, complain, signal = new AbortController().signal } = surroundings;
  const name = files.nameOf(files.output);
  print(`watching ${files.nameOf(files.list)} and the schemas that it lists; Ctrl-C stops`);
  await watchSchemas({
    read,
    signal,
    recompose: async (list, what) => {
      print(`${what}: ${await writeSupergraph(composeAndWarn(list, files, surroundings), files)}`);
    },
    refuse: (reason, what) => complain(`${what}: ${name} is not changed\n\n${reason}`),
  });
  print('stopped');
  return 0;
};

const readArgs = (args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        check: { type: 'boolean', default: false },
        release: { type: 'boolean', default: false },
        watch: { type: 'boolean', default: false },
        config: { type: 'string' },
        output: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${reasonOf(error)}\n\n${helpOf.compose}`, {
      cause: error,
    });
  }
};

const ofThisProcess = (): Surroundings => ({
  variables: process.env,
  // npm changes to the root before it runs a script; INIT_CWD is the folder in which the command was typed.
  folder: process.env['INIT_CWD'] ?? process.cwd(),
  print: (text) => process.stdout.write(`${text.trimEnd()}\n`),
  complain: (text) => process.stderr.write(`${text.trimEnd()}\n`),
});
