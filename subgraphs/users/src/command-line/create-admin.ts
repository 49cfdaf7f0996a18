import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { newId, systemClock } from '@cinegraph/service/clock';
import { Refusal } from '@cinegraph/service/refusal';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { checkRegistration } from '../commands/accounts.js';
import { createPasswordHasher } from '../passwords.js';
import { withPrisma } from './with-prisma.js';

/** More than a password may have. */
const maxInputLength = 4_096;

/**
 * `create-admin`: opens an account with the role ADMIN. The password is the first line of standard input if
 * that is asked for, and otherwise random and printed once. It is never an argument, which other processes of
 * the machine could read.
 */
export const createAdmin: Command = {
  what: 'the creation of the account',
  usage: ['create-admin <login> [--name <name>] [--password-stdin]'],
  run: async (args, tools) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { name: { type: 'string' }, 'password-stdin': { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const [text, ...more] = positionals;
    if (text === undefined || more.length > 0) return 'usage';
    const isGenerated = !values['password-stdin'];
    const input = {
      login: text,
      name: values.name ?? text,
      password: isGenerated ? randomBytes(18).toString('base64url') : await readFirstLine(process.stdin),
    };
    const { login, name, lastName, password } = checked(input);
    const passwordHash = await createPasswordHasher().hash(password);
    const { count } = await withPrisma(tools, (prisma) =>
      prisma.account.createMany({
        data: {
          ...{ id: newId(), login, name, lastName, passwordHash, roles: ['ADMIN'] },
          createdAt: systemClock.now(),
        },
        skipDuplicates: true,
      }),
    );
    if (count === 0) {
      throw new StartError(
        `There is an account ${login} already. Give it the role with: npm run users -- grant ${login} ADMIN`,
      );
    }
    say(`The account ${login} has the role ADMIN.`);
    if (isGenerated) say(`Its password, which is not shown again: ${password}`);
    return 0;
  },
};

const checked = (input: Parameters<typeof checkRegistration>[0]) => {
  try {
    return checkRegistration(input);
  } catch (error) {
    if (error instanceof Refusal) throw new StartError(error.message, { cause: error });
    throw error;
  }
};

/** Returns the first line of a stream, without its end. */
const readFirstLine = async (stream: AsyncIterable<Buffer | string>): Promise<string> => {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes('\n') || text.length > maxInputLength) break;
  }
  return text.split(/\r?\n/, 1)[0] ?? '';
};
