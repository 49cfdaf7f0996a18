import { databaseUrlVariable } from '@cinegraph/service/env';
import type { JobTools } from '@cinegraph/subgraph/jobs/run-job';
import pg from 'pg';

/**
 * Does `work` with the databases whose outboxes a command looks after: rating's, and metadata's where DATABASE_URL_METADATA
 * says where it is and it has been started before. Their names are those of the subgraphs.
 */
export const withOutboxes = async <Result>(
  { pool, variables }: Pick<JobTools, 'pool' | 'variables'>,
  work: (outboxes: Readonly<Record<string, pg.Pool>>) => Promise<Result>,
): Promise<Result> => {
  const { DATABASE_URL_METADATA: url } = variables({ DATABASE_URL_METADATA: databaseUrlVariable.optional() });
  if (url === undefined) return work({ rating: pool });
  const metadata = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 2_000 });
  // What broke shows at the next statement.
  metadata.on('error', () => undefined);
  try {
    return await work((await hasOutbox(metadata)) ? { rating: pool, metadata } : { rating: pool });
  } finally {
    await metadata.end();
  }
};

/** A database that does not answer may have one. */
const hasOutbox = (database: pg.Pool): Promise<boolean> =>
  database.query<{ has: boolean }>(`SELECT to_regclass('outbox') IS NOT NULL AS has`).then(
    ({ rows }) => rows[0]?.has === true,
    () => true,
  );
