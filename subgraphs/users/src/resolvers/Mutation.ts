import { viewerIdOf } from '@cinegraph/service/viewer';
import type { Sender } from '../commands/transactions.js';
import type { Context } from '../context.js';
import type { MutationResolvers } from '../generated/resolvers.js';

export const Mutation: MutationResolvers = {
  register: async (_root, { input, idempotencyKey }, { accounts, passwordTurn }) => {
    passwordTurn();
    return { me: await accounts.register(input, idempotencyKey ?? null) };
  },

  login: (_root, { login, password }, { sessions, passwordTurn }) => {
    passwordTurn();
    return sessions.login(login, password);
  },

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

  changePassword: async (_root, { currentPassword, newPassword, idempotencyKey }, context) => {
    const sender = senderOf(context, idempotencyKey);
    context.passwordTurn();
    return { endedSessions: await context.accounts.changePassword(sender, currentPassword, newPassword) };
  },

  deleteAccount: async (_root, { password, idempotencyKey }, context) => {
    const sender = senderOf(context, idempotencyKey);
    context.passwordTurn();
    return { deletedUserId: await context.accounts.deleteAccount(sender, password) };
  },
};

/** Refuses a request without a viewer. */
const senderOf = (context: Context, idempotencyKey: string | null | undefined): Sender => ({
  viewerId: viewerIdOf(context),
  idempotencyKey: idempotencyKey ?? null,
});
