import { StartError } from '@cinegraph/service/start-error';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { grantableRoles } from '../models.js';
import { toLogin } from '../rules.js';
import { withPrisma } from './with-prisma.js';

/** Creates a command that changes whether an account has a role. */
const roleCommand = (word: 'grant' | 'revoke'): Command => ({
  what: 'the change of roles',
  usage: [`${word} <login> <${grantableRoles.join(' or ')}>`],
  run: async ([text, name, ...more], tools) => {
    const role = grantableRoles.find((one) => one === name);
    if (text === undefined || role === undefined || more.length > 0) return 'usage';
    const login = toLogin(text);
    const isGranted = await withPrisma(tools, async (prisma) => {
      // One statement, so that two commands at once do not undo each other.
      const rows = await prisma.$queryRaw<readonly { roles: readonly string[] }[]>`
        UPDATE account SET roles = CASE WHEN ${word === 'grant'}
          THEN array_append(array_remove(roles, ${role}), ${role}) ELSE array_remove(roles, ${role}) END
        WHERE login = ${login ?? ''} RETURNING roles`;
      return rows[0]?.roles.includes(role);
    });
    if (isGranted === undefined) {
      throw new StartError(`There is no account ${printable(text)}. Register it first.`);
    }
    say(
      `${login ?? ''} ${isGranted ? 'has' : 'does not have'} the role ${role}. Access tokens that it got before are accepted for ten minutes at most.`,
    );
    return 0;
  },
});

/** `grant`: gives an account a role. */
export const grant = roleCommand('grant');

/** `revoke`: takes a role from an account. */
export const revoke = roleCommand('revoke');
