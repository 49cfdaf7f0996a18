import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnv } from '@cinegraph/service/env';
import { UsageError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { z } from 'zod';
import { composedSupergraph, root } from './graph.js';
import { runScript } from './jobs.js';

/**
 * The command `plan`: prints the query plan of each operation in a file and its number of fetches, offline.
 * It runs the gateway's own planner as a process, and returns its exit code.
 */
export const plan = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const { operations, supergraph } = readOptions(args);
  // npm changes to the root before it runs a script; INIT_CWD is the folder in which the command was typed.
  const { INIT_CWD: folder = process.cwd() } = readEnv({ INIT_CWD: z.string().optional() }, process.env);
  return runScript(
    join(root, 'gateway', 'dist', 'command-line', 'plan.js'),
    [
      supergraph === undefined ? composedSupergraph : resolve(folder, supergraph),
      resolve(folder, operations),
    ],
    {},
    signal,
  );
};

const readOptions = (args: readonly string[]): { operations: string; supergraph: string | undefined } => {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { supergraph: { type: 'string' } },
      allowPositionals: true,
    });
    const [operations, ...others] = positionals;
    if (operations === undefined || others.length > 0) throw new Error('It takes one file of operations');
    return { operations, supergraph: values.supergraph };
  } catch (error) {
    throw new UsageError(`${reasonOf(error)}. npm run plan -- --help lists the options.`, { cause: error });
  }
};
