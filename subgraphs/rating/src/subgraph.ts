import {
  accounts,
  aggregatedRatings,
  deadLettersOf,
  incomingRatings,
  movies,
  ratings,
} from '@cinegraph/events/topics';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { createDeadLetterPruning } from '@cinegraph/messaging/consumer/dead-letters';
import { createInboxPruning } from '@cinegraph/messaging/consumer/inbox';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';
import { PrismaPg } from '@prisma/adapter-pg';
import { createRatingCommands } from './commands.js';
import { createIngest, ingestVariables, readIngestSettings } from './consumers/ratings-topic.js';
import { createDeletedUsers } from './consumers/deleted-users.js';
import { createKnownMovies } from './consumers/known-movies.js';
import type { Context } from './context.js';
import { PrismaClient } from './generated/prisma/client.js';
import { createLoaders } from './loaders.js';
import { migrations } from './migrations.js';
import { createVoteMoving } from './move-votes.js';
import { createViewerRemoval } from './remove-viewers.js';
import { resolvers } from './resolvers/index.js';

/** The subgraph `rating`: who rated what, and the exact aggregate of it. */
export const rating: SubgraphDefinition<Context> = {
  name: 'rating',
  schema: new URL('../schema.graphql', import.meta.url),
  migrations,
  topics: [
    ...[ratings, aggregatedRatings, incomingRatings, movies, accounts],
    ...[incomingRatings, movies, accounts].map(deadLettersOf),
  ],
  variables: ingestVariables,
  resolvers,
  open: ({ pool, broker, subgraphKey: secret, variables, clock, cursors, logger }) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const loaders = createLoaders({ pool, prisma });
    const commands = createRatingCommands({ prisma, clock, logger });
    const voteMoving = createVoteMoving(prisma, logger);
    const viewerRemoval = createViewerRemoval(prisma, clock, logger);
    const consumerTools = broker && { subgraph: 'rating', broker, pool, logger };
    return {
      context: (viewer) => ({ viewer, prisma, loaders, commands, cursors }),
      parts: [
        { name: 'prisma', start: async () => undefined, stop: () => prisma.$disconnect() },
        ...commands.parts,
        voteMoving,
        viewerRemoval,
        createInboxPruning(prisma, clock, logger),
        createDeadLetterPruning(prisma, clock, logger),
      ],
      ...(consumerTools && {
        consumers: [
          createConsumer(
            consumerTools,
            createIngest({ clock }, readIngestSettings(variables(ingestVariables), secret)),
          ),
          createConsumer(consumerTools, createKnownMovies({ secret, committed: voteMoving.wake })),
          createConsumer(consumerTools, createDeletedUsers({ clock, secret, committed: viewerRemoval.wake })),
        ],
      }),
    };
  },
};
