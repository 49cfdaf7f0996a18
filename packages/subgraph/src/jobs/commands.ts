import { endOnBrokenPipe, reasonOf } from '@cinegraph/service/terminal';
import type { MigrationSet } from '@cinegraph/database/migrate';
import { runJob, type JobTools } from './run-job.js';

/**
 * One command of a command line that works on a subgraph's database, e.g. `lag` of `npm run events -- lag`.
 */
export interface Command {
  /** The forms in which it may be called, one line each, e.g. `outbox [--limit <n>]`. */
  readonly usage: readonly string[];
  /** Names the work in the sentence that says why it stopped, e.g. "the backfill". */
  readonly what: string;
  /** Returns the exit code, or `'usage'` if it does not take these arguments. */
  run(args: readonly string[], tools: JobTools): Promise<number | 'usage'>;
}

/**
 * Runs the command that the first argument names as this process, on the subgraph's database. `--help`
 * anywhere prints the usage and opens nothing. A wrong word or wrong arguments print the usage on standard
 * error; the exit code is 2.
 */
export const runCommands = async (
  options: {
    readonly subgraph: string;
    readonly migrations: readonly MigrationSet[];
    /** How a person calls the commands, e.g. `npm run events --`. */
    readonly call: string;
    readonly commands: Readonly<Record<string, Command>>;
  },
  [word = '', ...args]: readonly string[] = process.argv.slice(2),
): Promise<void> => {
  endOnBrokenPipe();
  const { subgraph, migrations, call, commands } = options;
  const lines = Object.values(commands).flatMap(({ usage }) => usage);
  const usage = `Usage: ${call} <command>\n${lines.map((line) => `  ${line}\n`).join('')}`;
  if (isHelp([word, ...args])) {
    process.stdout.write(usage);
    return;
  }
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
  if (!command) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  await runJob({
    subgraph,
    migrations,
    what: command.what,
    work: async (tools) => {
      const code = await command.run(args, tools).catch((error: unknown) => {
        if (!isArgumentError(error)) throw error;
        process.stderr.write(`${reasonOf(error)}\n`);
        return 'usage' as const;
      });
      if (code !== 'usage') return code;
      process.stderr.write(usage);
      return 2;
    },
  });
};

const isHelp = (args: readonly string[]): boolean => args.some((arg) => arg === '--help' || arg === '-h');

/** Whether `parseArgs` of Node threw it: an unknown option, or one without its value. */
const isArgumentError = (error: unknown): boolean =>
  error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
