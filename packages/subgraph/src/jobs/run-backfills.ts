import { backfill, type Backfill } from '@cinegraph/messaging/outbox/backfill';
import { runJob } from './run-job.js';

/**
 * Runs announcements as this process: each topic is told once, however often this is run; killed at any moment, the next
 * run goes on behind the last chunk. Whoever writes meanwhile waits for no more than a chunk.
 */
export const runBackfills = (announcements: readonly [Backfill, ...Backfill[]]): Promise<void> => {
  const [{ subgraph, migrations }] = announcements;
  return runJob({
    subgraph,
    migrations,
    what: 'the announcement',
    work: async ({ pool }) => {
      for (const announcement of announcements) {
        const { topic, items } = announcement;
        const told = await backfill(pool, announcement);
        process.stdout.write(
          told === undefined
            ? `${subgraph}: ${topic}: announced before\n`
            : `${subgraph}: ${topic}: ${told} ${items} announced\n`,
        );
      }
      return 0;
    },
  });
};
