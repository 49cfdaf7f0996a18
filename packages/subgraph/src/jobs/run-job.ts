import type pg from 'pg';
import { z } from 'zod';
import { openDatabase } from '@cinegraph/database/pool';
import { databaseUrlVariable, readEnv, subgraphVariable } from '@cinegraph/service/env';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { StartError } from '@cinegraph/service/start-error';
import { createLogger } from '@cinegraph/service/logger';
import { readBrokerAddress, type BrokerAddress } from '@cinegraph/messaging/open-broker';
import { printable } from '@cinegraph/service/terminal';

/** What a job works with. */
export interface JobTools {
  readonly pool: pg.Pool;
  /** Where the importers of one run share files, where there is one: `IMPORT_FOLDER`. */
  readonly folder: string | undefined;
  /** Reads what more the job needs of the environment, as `readEnv` does. */
  variables<Shape extends z.ZodRawShape>(shape: Shape): z.output<z.ZodObject<Shape>>;
  /** Where the broker is that the environment names; throws a `StartError` that tells all that is missing or wrong. */
  brokerAddress(): BrokerAddress;
}

/**
 * Runs a piece of work on one subgraph's database as this process, from a migrated database to the exit code: 0, or what
 * `work` answers. A failure is one sentence on standard error and exit code 1, never a stack trace.
 * Needs `DATABASE_URL_<NAME>`; `what` names the work in that sentence, e.g. "the import of catalogue".
 */
export const runJob = async (options: {
  subgraph: string;
  what: string;
  migrations: URL;
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
          brokerAddress: () => readBrokerAddress(process.env),
        })) ?? 0;
    } finally {
      await database.part.stop();
    }
  } catch (error) {
    process.stderr.write(`${subgraph}: ${describeFailure(error, what)}\n`);
    process.exitCode = 1;
  }
};

const describeFailure = (error: unknown, what: string): string => {
  if (error instanceof StartError) return error.message;
  if (isUnavailable(error)) {
    return `${what} stopped because the database is away. What was written stays; run it again.`;
  }
  return `${what} stopped: ${printable(error instanceof Error ? error.message : String(error))}`;
};
