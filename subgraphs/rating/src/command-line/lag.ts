import { incomingRatings, movies } from '@cinegraph/events/topics';
import { formatLag, readLag } from '@cinegraph/messaging/lag';
import { openCommandBroker } from './broker.js';
import type { RatingsCommand } from './command.js';
import { withOutboxes } from './outboxes.js';

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
  run: async (args, tools) => {
    if (args.length > 0) return 'usage';
    const broker = await openCommandBroker(tools, []);
    await broker.part.start();
    try {
      await withOutboxes(tools, async (outboxes) => {
        process.stdout.write(formatLag(await readLag({ own: tools.pool, outboxes, broker, consumers })));
      });
      return 0;
    } finally {
      await broker.part.stop();
    }
  },
};
