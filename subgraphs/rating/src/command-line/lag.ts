import { incomingRatings, movies } from '@cinegraph/events/topics';
import { databaseUrlVariable } from '@cinegraph/kit/env';
import { formatLag, readLag } from '@cinegraph/kit/lag';
import pg from 'pg';
import { openCommandBroker } from './broker.js';
import type { RatingsCommand } from './command.js';

/** What rating takes in, by its consumer groups. */
const consumers = [
  { group: 'rating.ingest', topics: [incomingRatings.name] },
  { group: 'rating.known-movies', topics: [movies.name] },
];

/** `lag`: where events are that have not arrived yet. */
export const lag: RatingsCommand = {
  what: 'the look at the lag',
  usage: `
  lag               what waits in the outbox (also metadata's where DATABASE_URL_METADATA says where it is), what the
                    consumers have not taken in yet, and what they could not`,
  run: async (args, { pool, variables }) => {
    if (args.length > 0) return 'usage';
    const { DATABASE_URL_METADATA: url } = variables({
      DATABASE_URL_METADATA: databaseUrlVariable.optional(),
    });
    const metadata =
      url === undefined
        ? undefined
        : new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 2_000 });
    const broker = await openCommandBroker({ variables }, []);
    await broker.part.start();
    try {
      const outboxes = { rating: pool, ...(metadata && { metadata }) };
      process.stdout.write(formatLag(await readLag({ own: pool, outboxes, broker, consumers })));
      return 0;
    } finally {
      await broker.part.stop();
      await metadata?.end();
    }
  },
};
