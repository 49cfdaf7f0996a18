import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import type { RawTransaction } from './transaction.js';

/** How many rows one statement deletes at most: few enough to stay far below the statement timeout. */
const chunkSize = 5_000;

const intervalMs = 60 * 60 * 1000;

/**
 * Deletes the rows of `table` for which `condition` is true, an SQL expression with the time as $1. Deletes
 * in chunks, so that no statement takes long; concurrent replicas share the work. Returns the number of
 * deleted rows.
 */
export const pruneTable = async (
  tx: RawTransaction,
  table: string,
  condition: string,
  time: Date,
): Promise<number> => {
  for (let deleted = 0; ;) {
    const chunk = await tx.$executeRawUnsafe(
      `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM ${table} WHERE ${condition} LIMIT ${chunkSize} FOR UPDATE SKIP LOCKED))`,
      time.toISOString(),
    );
    deleted += chunk;
    if (chunk < chunkSize) return deleted;
  }
};

/**
 * Creates a part that runs `prune` when it is started and every hour. A failure is logged as `${name}
 * failed`; the next run is an hour later.
 */
export const createPruning = (options: {
  readonly name: string;
  readonly prune: () => Promise<unknown>;
  readonly logger: Logger;
}): Part => {
  const { name, prune, logger } = options;
  let timer: NodeJS.Timeout | undefined;
  const run = () => {
    prune().catch((error: unknown) => {
      logger.warn({ err: error }, `${name} failed`);
    });
  };
  return {
    name,
    start: async () => {
      run();
      timer = setInterval(run, intervalMs).unref();
    },
    stop: async () => clearInterval(timer),
  };
};
