import { parseArgs } from 'node:util';
import { printable } from '@cinegraph/service/terminal';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { findDrift, rebuildAggregates } from '../rebuild.js';
import type { RatingsCommand } from './command.js';

/** `rebuild`: makes every aggregate equal to its ratings again, and lists what had drifted. */
export const rebuild: RatingsCommand = {
  what: 'the rebuild',
  usage: `
  rebuild           recompute every aggregated rating from the ratings, repair and list those that had drifted
  rebuild --check   only list them; exit code 1 when there are any`,
  run: async (args, { pool }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { check: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    if (positionals.length > 0) return 'usage';
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    try {
      const drift = await (values.check ? findDrift(prisma) : rebuildAggregates(prisma));
      for (const { movieId, stored, recomputed } of drift) {
        process.stdout.write(
          `${printable(movieId)}: stored ${stored.sum} in ${stored.count} votes, recomputed ${recomputed.sum} in ${recomputed.count}\n`,
        );
      }
      const outcome = values.check ? 'have drifted' : 'had drifted and are repaired';
      process.stdout.write(`${drift.length} aggregated ratings ${outcome}.\n`);
      return values.check && drift.length > 0 ? 1 : 0;
    } finally {
      await prisma.$disconnect();
    }
  },
};
