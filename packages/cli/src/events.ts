import { join } from 'node:path';
import { exists } from '@cinegraph/local/exists';
import { UsageError } from '@cinegraph/service/start-error';
import { brokenPipeCode, formatTables, type Table } from '@cinegraph/service/terminal';
import { helpOf } from '../bootstrap/help.mjs';
import { takeDataOption, takeOption } from '../bootstrap/options.mjs';
import { databasesOf, readLocalSubgraphs, root, type LocalSubgraph } from './graph.js';
import { jobVariables, runScript, withDatabases } from './jobs.js';

/** The arguments of `npm run events`. */
interface EventsCall {
  readonly word: string;
  readonly args: readonly string[];
  /** Undefined means all subgraphs. */
  readonly subgraph: string | undefined;
}

/** The actions on single events, which are named by numbers. */
const actionsOnEvents: ReadonlySet<string> = new Set(['show', 'replay', 'drop', 'resend']);

const words: readonly string[] = ['lag', 'outbox', 'dlq', 'backfill'];

/**
 * The command `events`: runs `lag`, `outbox`, `dlq` or `backfill` of every subgraph, each as a process on its
 * own database, and returns 0 or the first other exit code. `lag` puts the tables of all subgraphs together.
 */
export const events = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const { value: subgraph, rest: typed } = takeOption(rest, '--subgraph', 'name');
  const [word = '', ...wordArgs] = typed;
  if (!words.includes(word)) {
    process.stderr.write(helpOf.events);
    return 2;
  }
  const subgraphs = chooseSubgraphs({ word, args: wordArgs, subgraph }, await subgraphsWith(word));
  return withDatabases({ purpose: 'events', data, subgraphs, signal }, async (urls, env) => {
    const tables: Table[] = [];
    let failed = 0;
    for (const local of subgraphs) {
      if (signal.aborted) break;
      const variables = { ...env, ...databasesOf(local, urls), ...(await jobVariables(local, data)) };
      const code =
        word === 'lag'
          ? await collectLag(local, wordArgs, variables, signal, tables)
          : await runScript(entryOf(local), typed, variables, signal);
      if (code === wrongArguments || code === brokenPipeCode) return code;
      failed ||= code;
    }
    if (tables.length > 0) process.stdout.write(formatTables(tables));
    return failed;
  });
};

/**
 * The exit code of a subgraph's process for wrong arguments, which are wrong for the other subgraphs, too.
 */
const wrongArguments = 2;

const entryOf = ({ folder }: LocalSubgraph): string => join(folder, 'dist', 'command-line', 'events.js');

/** Returns the subgraphs that have this command. Only those with consumers have `dlq`. */
const subgraphsWith = async (word: string): Promise<readonly LocalSubgraph[]> => {
  const found: LocalSubgraph[] = [];
  for (const local of await readLocalSubgraphs()) {
    const hasEvents = await exists(entryOf(local));
    if (hasEvents && (word !== 'dlq' || (await exists(join(local.folder, 'dist', 'consumers'))))) {
      found.push(local);
    }
  }
  return found;
};

/**
 * Returns the subgraphs to run the command for: the requested one, or all of `able`. Throws a UsageError if
 * there is no such subgraph, or if ids are given that could belong to several subgraphs, because each
 * subgraph numbers its own.
 */
export const chooseSubgraphs = (
  { word, args, subgraph }: EventsCall,
  able: readonly LocalSubgraph[],
): readonly LocalSubgraph[] => {
  const names = able.map(({ name }) => name);
  if (subgraph !== undefined) {
    const chosen = able.filter(({ name }) => name === subgraph);
    if (chosen.length === 1) return chosen;
    throw new UsageError(
      `No subgraph "${subgraph}" has the command "${word}". These have it: ${names.join(', ') || 'none'}.`,
    );
  }
  const [first, ...others] = able;
  if (!first) throw new UsageError(`No subgraph of supergraph.yaml has the command "${word}".`);
  const [action = ''] = args;
  const namesEvents = actionsOnEvents.has(action) && args.some((arg) => /^\d/.test(arg));
  if (others.length > 0 && namesEvents) {
    throw new UsageError(
      `Each subgraph numbers its own events. Name the subgraph: --subgraph ${names.join(' or --subgraph ')}`,
    );
  }
  return able;
};

/**
 * Reads the lag of one subgraph and adds its rows to `tables`; returns the exit code of the subgraph's
 * process.
 */
const collectLag = async (
  local: LocalSubgraph,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
  tables: Table[],
): Promise<number> => {
  let output = '';
  const code = await runScript(
    entryOf(local),
    ['lag', ...args, '--json'],
    env,
    signal,
    (text) => (output += text),
  );
  if (code !== 0) return code;
  for (const [index, { head, rows }] of (JSON.parse(output) as Table[]).entries()) {
    tables[index] = { head, rows: [...(tables[index]?.rows ?? []), ...rows] };
  }
  return code;
};
