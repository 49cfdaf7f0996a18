import { systemClock } from '@cinegraph/service/clock';
import { subgraphKeyVariable } from '@cinegraph/service/env';
import { say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { createSigningKeys } from '../commands/signing-keys.js';
import { publishedKeys, signingKeys } from '../key-times.js';
import { createKeySealer } from '../sealed-keys.js';
import { withPrisma } from './with-prisma.js';

/** `keys`: lists, rotates and replaces the keys that sign access tokens. */
export const keys: Command = {
  what: 'the work on the signing keys',
  usage: ['keys list', 'keys rotate', 'keys replace'],
  run: async ([word, ...more], tools) => {
    if (more.length > 0) return 'usage';
    if (word !== 'list' && word !== 'rotate' && word !== 'replace') return 'usage';
    const { SUBGRAPH_KEY } = tools.variables({ SUBGRAPH_KEY: subgraphKeyVariable });
    return withPrisma(tools, async (prisma) => {
      const signing = createSigningKeys({
        prisma,
        clock: systemClock,
        sealer: createKeySealer(SUBGRAPH_KEY),
      });
      if (word === 'rotate') {
        const { id, signsFrom } = await signing.rotate();
        say(
          `The key ${id} is published, and signs from ${signsFrom.toISOString()} on. Nobody is logged out.`,
        );
      } else if (word === 'replace') {
        const id = await signing.replace();
        say(`The key ${id} signs from now on. All other keys are deleted.`);
        say(
          'Access tokens that they signed are refused as soon as caches of the keys expire, in five minutes.',
        );
      } else {
        const now = systemClock.now();
        const stored = await prisma.signingKey.findMany();
        const [current] = signingKeys(stored, now);
        for (const { id, signsFrom } of publishedKeys(stored, now)) {
          const state = id === current?.id ? 'signs' : signsFrom > now ? 'will sign' : 'signed before';
          say(`${id} ${state}, from ${signsFrom.toISOString()} on`);
        }
      }
      return 0;
    });
  },
};
