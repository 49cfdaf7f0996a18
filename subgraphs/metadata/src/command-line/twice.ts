import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { findTwice } from '../import/twice.js';
import type { Film } from '../import/matching.js';

/**
 * `twice`: lists the pairs of movies that may be one film, each as the command that joins it. They have a
 * title in common, years at most one apart, and nothing that contradicts.
 */
export const twice: Command = {
  what: 'the list of films that stand twice',
  usage: ['twice'],
  run: async (args, { pool }) => {
    if (args.length > 0) return 'usage';
    const pairs = await findTwice(pool);
    for (const { kept, other } of pairs) {
      const [left, right] = [kept, other].map(({ title, year }: Film) => printable(`${title} (${year})`));
      say(`npm run movies -- join ${printable(kept.id)} ${printable(other.id)}  # ${left}, ${right}`);
    }
    say(`${pairs.length} pairs of movies may be one film each. Join those that are; part undoes a join.`);
    return 0;
  },
};
