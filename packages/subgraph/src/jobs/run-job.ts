import type { MigrationSet } from '@cinegraph/database/migrate';
import type pg from 'pg';
import { z } from 'zod';
import { openDatabase } from '@cinegraph/database/pool';
import { databaseUrlVariable, readEnv, subgraphVariable } from '@cinegraph/service/env';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { StartError } from '@cinegraph/service/start-error';
import { createLogger } from '@cinegraph/service/logger';
import type { Broker } from '@cinegraph/messaging/broker';
import type { TopicDefinition } from '@cinegraph/messaging/envelope';
import { openBroker, readBrokerAddress } from '@cinegraph/messaging/open-broker';
import { printable, reasonOf } from '@cinegraph/service/terminal';

/** What a job works with. */
export interface JobTools {
  readonly pool: pg.Pool;
  /**
   * The folder in which the importers of one run share files: `IMPORT_FOLDER`, undefined if it is not set.
   */
  readonly folder: string | undefined;
  /** Reads further variables of the environment, as `readEnv` does. */
  variables<Shape extends z.ZodRawShape>(shape: Shape): z.output<z.ZodObject<Shape>>;
  /**
   * Opens the broker that the environment names; its part is not started yet. It writes no log lines, because
   * a person reads the output of the job. Rejects with a `StartError` that names every variable that is
   * missing or wrong.
   */
  openBroker(topics: readonly TopicDefinition[]): Promise<Broker>;
}

/**
 * Runs `work` on the database of one subgraph as this process: applies missing migrations, calls `work` and
 * sets the exit code to the number that it returns, or 0. A failure is one sentence on standard error, never
 * a stack trace, and exit code 1, or 2 for wrong arguments; `what` names the work in that sentence, e.g. "the
 * import of catalogue". Needs `DATABASE_URL_<NAME>`.
 */
export const runJob = async (options: {
  subgraph: string;
  what: string;
  migrations: readonly MigrationSet[];
  work: (tools: JobTools) => Promise<number | undefined>;
}): Promise<void> => {
  const { subgraph, what, migrations, work } = options;
  try {
    const variable = subgraphVariable('DATABASE_URL_', subgraph);
    const env: Record<string, string | undefined> = readEnv(
      { [variable]: databaseUrlVariable, IMPORT_FOLDER: z.string().optional() },
      process.env,
    );
    const database = openDatabase({
      url: env[variable] ?? '',
      name: subgraph,
      migrations,
      logger: createLogger({ name: subgraph, level: 'warn' }),
      statementTimeoutMs: 0,
      lockTimeoutMs: 0,
    });
    await database.part.start();
    try {
      process.exitCode =
        (await work({
          pool: database.pool,
          folder: env['IMPORT_FOLDER'],
          variables: (shape) => readEnv(shape, process.env),
          openBroker: async (topics) =>
            openBroker(
              { clientId: subgraph, topics, logger: createLogger({ name: subgraph, level: 'silent' }) },
              readBrokerAddress(process.env),
            ),
        })) ?? 0;
    } finally {
      await database.part.stop();
    }
  } catch (error) {
    process.stderr.write(`${subgraph}: ${describeFailure(error, what)}\n`);
    process.exitCode = error instanceof StartError ? error.exitCode : 1;
  }
};

const describeFailure = (error: unknown, what: string): string => {
  if (error instanceof StartError) return error.message;
  if (isUnavailable(error)) {
    return `${what} stopped because the database is unavailable. What was committed is kept; run it again.`;
  }
  return `${what} stopped: ${printable(reasonOf(error))}`;
};
