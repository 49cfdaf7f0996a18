import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { countUnknown, findUnknown } from '../queries/aggregated-ratings.js';

/** How many movies are listed. */
const maxListed = 20;

/**
 * `unknown`: counts the ratings of movies that are not known, and lists the movies with most of them. They
 * are kept and show once their movie comes; many of them are a sign of a wrong id prefix.
 */
export const unknown: Command = {
  what: 'the list of unknown movies',
  usage: ['unknown'],
  run: async (args, { pool }) => {
    if (args.length > 0) return 'usage';
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    try {
      const { movies, ratings } = await countUnknown(prisma);
      say(`${ratings} ratings of ${movies} movies that are not known are kept.`);
      for (const { movieId, count } of await findUnknown(prisma, maxListed))
        say(`  ${printable(movieId)}: ${count}`);
      return 0;
    } finally {
      await prisma.$disconnect();
    }
  },
};
