import { newId, type Clock } from '@cinegraph/service/clock';
import { eventOf } from '@cinegraph/events/event';
import { userDeleted } from '@cinegraph/events/users';
import { appendToOutbox } from '@cinegraph/messaging/outbox/append';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { currentTrace } from '@cinegraph/service/telemetry/tracing';
import { createKeyPruning } from '@cinegraph/subgraph/idempotency';
import { codes } from '../codes.js';
import type { Account, Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { RegisterInput, UpdateProfileInput } from '../generated/resolvers.js';
import type { MeModel } from '../models.js';
import type { PasswordHasher } from '../passwords.js';
import { toMe } from '../queries/accounts.js';
import { lockAccount } from '../queries/locks.js';
import {
  accountNotFound,
  checkLogin,
  checkName,
  checkPassword,
  invalidCredentials,
  isTooLong,
} from '../rules.js';
import { endSessions } from './sessions.js';
import type { Sender, Transactions } from './transactions.js';

/**
 * The commands on accounts. Passwords are checked and hashed before a transaction begins, and the transaction
 * verifies that the hash is still the same.
 */
export interface AccountCommands {
  /** Opens an account. Refuses with BAD_USER_INPUT and LOGIN_TAKEN. */
  register(input: RegisterInput, idempotencyKey: string | null): Promise<MeModel>;
  /** Changes names. Refuses with BAD_USER_INPUT and ACCOUNT_NOT_FOUND. */
  updateProfile(sender: Sender, input: UpdateProfileInput): Promise<MeModel>;
  /**
   * Changes the password and ends all sessions. Returns how many there were. Refuses with BAD_USER_INPUT,
   * ACCOUNT_NOT_FOUND and INVALID_CREDENTIALS.
   */
  changePassword(sender: Sender, currentPassword: string, newPassword: string): Promise<number>;
  /**
   * Deletes the account and its sessions, and publishes UserDeleted. Returns its id. Refuses with
   * ACCOUNT_NOT_FOUND and INVALID_CREDENTIALS.
   */
  deleteAccount(sender: Sender, password: string): Promise<string>;
  readonly parts: readonly Part[];
}

/** Creates the commands. `parts` must run with the service: they delete expired idempotency keys. */
export const createAccountCommands = (tools: {
  readonly prisma: PrismaClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly transactions: Transactions;
  readonly passwords: PasswordHasher;
}): AccountCommands => {
  const { prisma, clock, logger, transactions, passwords } = tools;

  /** Returns the account if the password is its password. */
  const authenticate = async (id: string, password: string): Promise<Account> => {
    const account = await prisma.account.findUnique({ where: { id } });
    if (!account) throw accountNotFound();
    if (isTooLong(password) || !(await passwords.verify(password, account.passwordHash)))
      throw invalidCredentials();
    return account;
  };

  return {
    register: async (input, idempotencyKey) => {
      const { login, password, name, lastName } = checkRegistration(input);
      // Nobody is signed in: the key belongs to the login.
      const sender = { viewerId: registrationOf(login), idempotencyKey };
      return transactions.runKeyed(
        { sender, operation: 'register', arguments: { login, name, lastName } },
        async () => {
          if (await prisma.account.findUnique({ where: { login }, select: { id: true } })) throw loginTaken();
          return passwords.hash(password);
        },
        async (tx, now, passwordHash) => {
          const account = { id: newId(), login, name, lastName, passwordHash, roles: [], createdAt: now };
          const { count } = await tx.account.createMany({ data: account, skipDuplicates: true });
          if (count === 0) throw loginTaken();
          return toMe(account);
        },
      );
    },

    updateProfile: async (sender, input) => {
      const changes = checkProfile(input);
      return transactions.runKeyed(
        { sender, operation: 'updateProfile', arguments: changes },
        async () => undefined,
        async (tx) => {
          const { viewerId: id } = sender;
          if (!(await lockAccount(tx, id))) throw accountNotFound();
          return toMe(await tx.account.update({ where: { id }, data: changes }));
        },
      );
    },

    changePassword: (sender, currentPassword, newPassword) =>
      transactions.runKeyed(
        { sender, operation: 'changePassword', arguments: {} },
        async () => {
          const { login, passwordHash } = await authenticate(sender.viewerId, currentPassword);
          checkPassword(newPassword, login, 'newPassword');
          return { before: passwordHash, after: await passwords.hash(newPassword) };
        },
        async (tx, _now, { before, after }) => {
          await requireUnchanged(tx, sender.viewerId, before);
          await tx.account.update({ where: { id: sender.viewerId }, data: { passwordHash: after } });
          return endSessions(tx, sender.viewerId);
        },
      ),

    deleteAccount: (sender, password) =>
      transactions.runKeyed(
        { sender, operation: 'deleteAccount', arguments: {} },
        () => authenticate(sender.viewerId, password),
        async (tx, now, { id, login, passwordHash }) => {
          await requireUnchanged(tx, id, passwordHash);
          await endSessions(tx, id);
          await tx.account.delete({ where: { id } });
          await tx.deletedAccount.create({ data: { id, deletedAt: now } });
          // Stored answers have names. The key of this command stays, for a repeat.
          await tx.idempotency.deleteMany({
            where: {
              viewerId: { in: [id, registrationOf(login)] },
              operation: { not: 'deleteAccount' },
            },
          });
          await appendToOutbox(tx, [eventOf(userDeleted, id, { userId: id })], currentTrace());
          return id;
        },
      ),

    parts: [createKeyPruning(prisma, clock, logger)],
  };
};

/** Returns a registration with the login in lower case and names as they are stored. */
export const checkRegistration = ({ login: text, password, name, lastName }: RegisterInput) => {
  const login = checkLogin(text);
  checkPassword(password, login, 'password');
  return {
    login,
    password,
    name: checkName(name, 'name'),
    lastName: lastName == null ? null : checkName(lastName, 'lastName'),
  };
};

const checkProfile = ({ name, lastName }: UpdateProfileInput) => {
  if (name === null) {
    throw new Refusal(refusalCode.badUserInput, 'The name cannot be removed. Leave it out to keep it.', {
      field: 'name',
    });
  }
  return {
    ...(name !== undefined && { name: checkName(name, 'name') }),
    ...(lastName !== undefined && { lastName: lastName === null ? null : checkName(lastName, 'lastName') }),
  };
};

const registrationOf = (login: string): string => `register:${login}`;

const loginTaken = (): Refusal =>
  new Refusal(codes.loginTaken, 'Somebody has this login already. Choose another one, or log in.', {
    field: 'login',
  });

/** Locks an account. Throws a refusal if the password is not the one that was verified any more. */
const requireUnchanged = async (
  tx: Prisma.TransactionClient,
  id: string,
  passwordHash: string,
): Promise<void> => {
  const locked = await lockAccount(tx, id);
  if (!locked) throw accountNotFound();
  if (locked.passwordHash !== passwordHash) throw invalidCredentials();
};
