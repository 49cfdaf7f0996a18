import { openSidePool } from '@cinegraph/database/pool';
import { aggregatedRatings, deadLettersOf, movies } from '@cinegraph/events/topics';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { createDeadLetterPruning } from '@cinegraph/messaging/consumer/dead-letters';
import { createInboxPruning } from '@cinegraph/messaging/consumer/inbox';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';
import { PrismaPg } from '@prisma/adapter-pg';
import { createMovieCommands } from './commands/commands.js';
import { createMovieRatings } from './consumers/movie-ratings.js';
import type { Context } from './context.js';
import { PrismaClient } from './generated/prisma/client.js';
import { createLoaders } from './loaders.js';
import { migrations } from './migrations.js';
import { resolvers } from './resolvers/index.js';

/** Defines the subgraph `metadata`, which owns the movies and the people in them. */
export const metadata: SubgraphDefinition<Context> = {
  name: 'metadata',
  schema: new URL('../schema.graphql', import.meta.url),
  migrations,
  topics: [movies, aggregatedRatings, deadLettersOf(aggregatedRatings)],
  resolvers,
  open: ({ pool, broker, subgraphKey: secret, clock, cursors, logger }) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const searchPool = openSidePool(pool, { maxConnections: 4, statementTimeoutMs: 1_000 });
    const loaders = createLoaders({ pool, prisma });
    const commands = createMovieCommands({ prisma, clock, logger });
    return {
      context: (viewer) => ({ viewer, pool, searchPool, prisma, loaders, commands, cursors }),
      parts: [
        { name: 'search', start: async () => undefined, stop: () => searchPool.end() },
        { name: 'prisma', start: async () => undefined, stop: () => prisma.$disconnect() },
        ...commands.parts,
        createInboxPruning(prisma, clock, logger),
        createDeadLetterPruning(prisma, clock, logger),
      ],
      ...(broker && {
        consumers: [
          createConsumer({ subgraph: 'metadata', broker, pool, logger }, createMovieRatings({ secret })),
        ],
      }),
    };
  },
};
