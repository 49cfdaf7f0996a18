import type { Prisma } from '../generated/prisma/client.js';

/** What a command needs of an account whose row it has locked. */
export interface LockedAccount {
  readonly passwordHash: string;
}

/**
 * Locks the row of an account until the end of the transaction, so that its password, its sessions and its
 * deletion change one after the other. Returns undefined if there is no such account.
 */
export const lockAccount = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<LockedAccount | undefined> => {
  const [account] = await tx.$queryRaw<readonly LockedAccount[]>`
    SELECT password_hash AS "passwordHash" FROM account WHERE id = ${id} FOR NO KEY UPDATE`;
  return account;
};

/** A session whose row is locked. */
export interface LockedSession {
  readonly id: string;
  readonly accountId: string;
  readonly expiresAt: Date;
}

/**
 * Locks the session of a refresh token, so that two uses of its tokens follow each other. Returns undefined
 * if the token is not known, as after the end of its session.
 */
export const lockSessionOf = async (
  tx: Prisma.TransactionClient,
  tokenHash: string,
): Promise<LockedSession | undefined> => {
  const [session] = await tx.$queryRaw<readonly LockedSession[]>`
    SELECT id, account_id AS "accountId", expires_at AS "expiresAt" FROM session
    WHERE id = (SELECT session_id FROM refresh_token WHERE hash = ${tokenHash}) FOR UPDATE`;
  return session;
};
