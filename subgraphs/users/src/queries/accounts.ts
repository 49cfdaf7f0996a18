import type { Account, Prisma } from '../generated/prisma/client.js';
import type { MeModel, UserModel } from '../models.js';
import { rolesOf } from '../rules.js';

/** Returns users by id, without unknown and deleted ones. */
export const findUsers = async (
  prisma: Prisma.TransactionClient,
  ids: readonly string[],
): Promise<ReadonlyMap<string, UserModel>> => {
  const rows = await prisma.account.findMany({
    where: { id: { in: [...ids] } },
    select: { id: true, name: true },
  });
  return new Map(rows.map((row) => [row.id, row]));
};

/** Returns the account with this id, as its owner sees it, or null. */
export const findMe = async (prisma: Prisma.TransactionClient, id: string): Promise<MeModel | null> => {
  const account = await prisma.account.findUnique({ where: { id } });
  return account && toMe(account);
};

/** Returns an account as its owner sees it, without the hash of its password. */
export const toMe = ({ id, login, name, lastName, roles, createdAt }: Account): MeModel => ({
  ...{ id, login, name, lastName },
  roles: rolesOf(roles),
  createdAt: createdAt.toISOString(),
});
