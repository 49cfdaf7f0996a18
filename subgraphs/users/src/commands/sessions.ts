import { createHash, randomBytes } from 'node:crypto';
import { createPruning, pruneTable } from '@cinegraph/database/prune';
import { newId, type Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { Refusal } from '@cinegraph/service/refusal';
import type { AccessToken, AccessTokens } from '../access-tokens.js';
import { codes } from '../codes.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { MeModel, TokensModel } from '../models.js';
import type { PasswordHasher } from '../passwords.js';
import { toMe } from '../queries/accounts.js';
import { lockAccount, lockSessionOf } from '../queries/locks.js';
import { invalidCredentials, isTooLong, scopesOf, toLogin } from '../rules.js';
import type { Sender, Transactions } from './transactions.js';

/**
 * The commands on sessions. A session is a login with all tokens that follow from it. It has one refresh
 * token that is not used; a token is used once, and a second use ends the session.
 */
export interface SessionCommands {
  /**
   * Opens a session. Refuses an unknown login and a wrong password alike, with INVALID_CREDENTIALS after the
   * same work, and with OVERLOADED while too many passwords are verified.
   */
  login(login: string, password: string): Promise<{ readonly tokens: TokensModel; readonly me: MeModel }>;
  /** Returns the next tokens of the session. Refuses with REFRESH_TOKEN_INVALID or REFRESH_TOKEN_REUSED. */
  refresh(refreshToken: string): Promise<TokensModel>;
  /** Ends the session of a token. Returns whether it was open. */
  logout(refreshToken: string): Promise<boolean>;
  /** Ends all sessions of the sender, and returns how many there were. */
  logoutEverywhere(sender: Sender): Promise<number>;
  readonly parts: readonly Part[];
}

const dayMs = 24 * 60 * 60 * 1000;

/** How long a session lasts if nothing is refreshed, and at most. */
const refreshTokenLifetimeMs = 30 * dayMs;
const sessionLifetimeMs = 90 * dayMs;

/** Creates the commands. `parts` must run with the service: they delete expired sessions and tokens. */
export const createSessionCommands = (tools: {
  readonly prisma: PrismaClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly transactions: Transactions;
  readonly passwords: PasswordHasher;
  readonly accessTokens: AccessTokens;
}): SessionCommands => {
  const { prisma, clock, logger, transactions, passwords, accessTokens } = tools;
  return {
    login: async (text, password) => {
      if (isTooLong(password)) throw invalidCredentials();
      const login = toLogin(text);
      const known = login === undefined ? null : await prisma.account.findUnique({ where: { login } });
      const isRight = await passwords.verify(password, known?.passwordHash);
      if (!known || !isRight) throw invalidCredentials();
      const sign = await accessTokens.prepare();
      return transactions.run(async (tx, now) => {
        // The password may have changed, or the account may be deleted, since it was verified.
        const locked = await lockAccount(tx, known.id);
        if (locked?.passwordHash !== known.passwordHash) throw invalidCredentials();
        const account = await tx.account.findUniqueOrThrow({ where: { id: known.id } });
        const session = {
          id: newId(),
          accountId: account.id,
          expiresAt: new Date(now.getTime() + sessionLifetimeMs),
        };
        await tx.session.create({ data: { ...session, createdAt: now } });
        const next = await addRefreshToken(tx, session, now);
        const access = await sign({ userId: account.id, scopes: scopesOf(account.roles) });
        return { tokens: toTokens(access, next), me: toMe(account) };
      });
    },

    refresh: async (refreshToken) => {
      const hash = hashOf(refreshToken);
      const sign = await accessTokens.prepare();
      // A reuse ends the session, so that its transaction must be committed: the refusal is thrown after it.
      const outcome = await transactions.run(async (tx, now): Promise<TokensModel | Refusal> => {
        const session = await lockSessionOf(tx, hash);
        const token = session && (await tx.refreshToken.findUnique({ where: { hash } }));
        if (!token || token.expiresAt <= now) return refreshTokenInvalid();
        if (token.usedAt) {
          await tx.session.delete({ where: { id: session.id } });
          logger.warn(
            { user: session.accountId, session: session.id },
            'a refresh token was used again, and its session was ended',
          );
          return refreshTokenReused();
        }
        await tx.refreshToken.update({ where: { hash }, data: { usedAt: now } });
        const next = await addRefreshToken(tx, session, now);
        const { id, roles } = await tx.account.findUniqueOrThrow({ where: { id: session.accountId } });
        return toTokens(await sign({ userId: id, scopes: scopesOf(roles) }), next);
      });
      if (outcome instanceof Refusal) throw outcome;
      return outcome;
    },

    logout: (refreshToken) =>
      transactions.run(async (tx) => {
        const session = await lockSessionOf(tx, hashOf(refreshToken));
        if (!session) return false;
        await tx.session.delete({ where: { id: session.id } });
        return true;
      }),

    logoutEverywhere: (sender) =>
      transactions.runKeyed(
        { sender, operation: 'logoutEverywhere', arguments: {} },
        async () => undefined,
        (tx) => endSessions(tx, sender.viewerId),
      ),

    parts: [
      createPruning({
        name: 'pruning of sessions',
        prune: async () => {
          await pruneTable(prisma, 'refresh_token', 'expires_at <= $1::timestamptz', clock.now());
          // Without a token that could be refreshed, a session has ended.
          await pruneTable(
            prisma,
            'session',
            `(expires_at <= $1::timestamptz OR NOT EXISTS (
              SELECT FROM refresh_token WHERE session_id = session.id AND used_at IS NULL))`,
            clock.now(),
          );
        },
        logger,
      }),
    ],
  };
};

/** Ends all sessions of an account in the open transaction, and returns how many there were. */
export const endSessions = async (tx: Prisma.TransactionClient, accountId: string): Promise<number> => {
  const { count } = await tx.session.deleteMany({ where: { accountId } });
  return count;
};

interface NewRefreshToken {
  readonly refreshToken: string;
  readonly expiresAt: Date;
}

/** Adds a random token of 256 bits to a session. Only its hash is stored, which needs no salt. */
const addRefreshToken = async (
  tx: Prisma.TransactionClient,
  session: { readonly id: string; readonly expiresAt: Date },
  now: Date,
): Promise<NewRefreshToken> => {
  const refreshToken = randomBytes(32).toString('base64url');
  const expiresAt = new Date(Math.min(now.getTime() + refreshTokenLifetimeMs, session.expiresAt.getTime()));
  await tx.refreshToken.create({
    data: { hash: hashOf(refreshToken), sessionId: session.id, expiresAt },
  });
  return { refreshToken, expiresAt };
};

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url');

const toTokens = (access: AccessToken, { refreshToken, expiresAt }: NewRefreshToken): TokensModel => ({
  accessToken: access.token,
  accessTokenExpiresAt: access.expiresAt.toISOString(),
  refreshToken,
  refreshTokenExpiresAt: expiresAt.toISOString(),
});

const refreshTokenInvalid = (): Refusal =>
  new Refusal(
    codes.refreshTokenInvalid,
    'The refresh token is not valid: it has expired, or its session has ended. Log in again.',
  );

const refreshTokenReused = (): Refusal =>
  new Refusal(
    codes.refreshTokenReused,
    'The refresh token was used before, and its session has ended. Log in again, and send one refresh at a time.',
  );
