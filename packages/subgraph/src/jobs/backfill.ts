import { backfill } from '@cinegraph/messaging/outbox/backfill';
import { say } from '@cinegraph/service/terminal';
import type { Command } from './commands.js';
import type { EventsDefinition } from './events-definition.js';

/**
 * `backfill`: publishes the current state of the subgraph's tables to topics that are younger than those
 * tables. Each topic is filled once, however often the command runs. If it is killed, the next run continues
 * after the last chunk.
 */
export const backfillCommand = ({ subgraph, backfills }: EventsDefinition): Command => ({
  what: 'the backfill',
  usage: ['backfill'],
  run: async (args, { pool }) => {
    if (args.length > 0) return 'usage';
    for (const definition of backfills) {
      const { topic, items } = definition;
      const published = await backfill(pool, definition);
      say(
        published === undefined
          ? `${subgraph}: ${topic}: was filled before`
          : `${subgraph}: ${topic}: ${published} ${items} published`,
      );
    }
    return 0;
  },
});
