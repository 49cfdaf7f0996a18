import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnv } from '@cinegraph/service/env';
import { UsageError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { z } from 'zod';
import { composedSupergraph, root } from './graph.js';
import { runScript } from './jobs.js';

/**
 * The command `operations check`: checks a manifest of trusted operations against a supergraph, offline. It
 * runs the gateway's own checks as a process, and returns its exit code.
 */
export const operations = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  // npm changes to the root before it runs a script; INIT_CWD is the folder in which the command was typed.
  const { INIT_CWD: folder = process.cwd(), OPERATIONS_MANIFEST } = readEnv(
    { INIT_CWD: z.string().optional(), OPERATIONS_MANIFEST: z.string().optional() },
    process.env,
  );
  const { manifest = OPERATIONS_MANIFEST, supergraph, against } = readOptions(args);
  if (manifest === undefined) {
    throw new UsageError('There is no manifest: name it by --manifest <file>, or by OPERATIONS_MANIFEST.');
  }
  const published = join(root, 'gateway', 'published.graphql');
  const used = supergraph === undefined ? published : composedSupergraph;
  return runScript(
    join(root, 'gateway', 'dist', 'command-line', 'operations.js'),
    [
      resolve(folder, manifest),
      supergraph === undefined ? composedSupergraph : resolve(folder, supergraph),
      against === undefined ? used : resolve(folder, against),
    ],
    {},
    signal,
  );
};

const readOptions = (args: readonly string[]) => {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        manifest: { type: 'string' },
        supergraph: { type: 'string' },
        against: { type: 'string' },
      },
      allowPositionals: true,
    });
    const [word, ...others] = positionals;
    if (word !== 'check' || others.length > 0) throw new Error('Its only word is check');
    return values;
  } catch (error) {
    throw new UsageError(`${reasonOf(error)}. npm run operations -- --help lists the options.`, {
      cause: error,
    });
  }
};
