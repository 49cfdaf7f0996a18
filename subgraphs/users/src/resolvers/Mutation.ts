import { viewerIdOf } from '@cinegraph/service/viewer';
import type { Sender } from '../commands/transactions.js';
import type { Context } from '../context.js';
import type { MutationResolvers } from '../generated/resolvers.js';

export const Mutation: MutationResolvers = {
  register: async (_root, { input, idempotencyKey }, { accounts }) => ({
    me: await accounts.register(input, idempotencyKey ?? null),
  }),

  login: (_root, { login, password }, { sessions }) => sessions.login(login, password),

  refresh: async (_root, { refreshToken }, { sessions }) => ({
    tokens: await sessions.refresh(refreshToken),
  }),

  logout: async (_root, { refreshToken }, { sessions }) => ({ ended: await sessions.logout(refreshToken) }),

  logoutEverywhere: async (_root, { idempotencyKey }, context) => ({
    endedSessions: await context.sessions.logoutEverywhere(senderOf(context, idempotencyKey)),
  }),

  updateProfile: async (_root, { input, idempotencyKey }, context) => ({
    me: await context.accounts.updateProfile(senderOf(context, idempotencyKey), input),
  }),

  changePassword: async (_root, { currentPassword, newPassword, idempotencyKey }, context) => ({
    endedSessions: await context.accounts.changePassword(
      senderOf(context, idempotencyKey),
      currentPassword,
      newPassword,
    ),
  }),

  deleteAccount: async (_root, { password, idempotencyKey }, context) => ({
    deletedUserId: await context.accounts.deleteAccount(senderOf(context, idempotencyKey), password),
  }),
};

/** Refuses a request without a viewer. */
const senderOf = (context: Context, idempotencyKey: string | null | undefined): Sender => ({
  viewerId: viewerIdOf(context),
  idempotencyKey: idempotencyKey ?? null,
});
