import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { systemClock } from '@cinegraph/service/clock';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { joinMovies, partMovie } from '../commands/join-movies.js';
import { PrismaClient, type Prisma } from '../generated/prisma/client.js';

/**
 * `join`: makes two movies that are one film one movie. The ids of the second lead to the first from then on.
 */
export const join: Command = {
  what: 'the join',
  usage: ['join <kept id> <other id>'],
  run: async ([kept, other, ...more], { pool }) => {
    if (kept === undefined || other === undefined || more.length > 0) return 'usage';
    const isNew = await inTransaction(pool, (tx) => joinMovies(tx, { kept, other }, systemClock.now()));
    say(
      isNew
        ? `${printable(other)} is joined into ${printable(kept)}. Its ratings follow while the graph runs.`
        : `${printable(other)} was joined into ${printable(kept)} before.`,
    );
    return 0;
  },
};

/** `part`: makes a joined movie a movie of its own again. */
export const part: Command = {
  what: 'the parting',
  usage: ['part <other id>'],
  run: async ([id, ...more], { pool }) => {
    if (id === undefined || more.length > 0) return 'usage';
    const kept = await inTransaction(pool, (tx) => partMovie(tx, id, systemClock.now()));
    say(
      `${printable(id)} is parted from ${printable(kept)}. The ratings that were given for it go back while the graph runs.`,
    );
    return 0;
  },
};

const inTransaction = async <Result>(
  pool: pg.Pool,
  work: (tx: Prisma.TransactionClient) => Promise<Result>,
): Promise<Result> => {
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  try {
    return await retryOnConflict(() => prisma.$transaction(work, { timeout: 60_000 }));
  } finally {
    await prisma.$disconnect();
  }
};
