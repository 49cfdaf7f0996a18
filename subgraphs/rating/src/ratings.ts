import { parseArgs } from 'node:util';
import { runJob } from '@cinegraph/kit/job';
import { printable } from '@cinegraph/kit/text';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/prisma/client.js';
import { migrations } from './migrations.js';
import { findDrift, rebuildAggregates } from './rebuild.js';

const usage = `Usage: npm run ratings -- rebuild [--check]

  rebuild           recompute every aggregated rating from the ratings, repair and list those that had drifted
  rebuild --check   only list them; exit code 1 when there are any
`;

await runJob({
  subgraph: 'rating',
  what: 'the rebuild',
  migrations,
  work: async (pool) => {
    const { values, positionals } = parseArgs({
      options: { check: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    if (positionals[0] !== 'rebuild' || positionals.length > 1) {
      process.stderr.write(usage);
      return 2;
    }
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
});
