import { accounts } from '@cinegraph/events/topics';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';
import { PrismaPg } from '@prisma/adapter-pg';
import { createAccessTokens } from './access-tokens.js';
import { createAccountCommands } from './commands/accounts.js';
import { createSessionCommands } from './commands/sessions.js';
import { createSigningKeys } from './commands/signing-keys.js';
import { createTransactions } from './commands/transactions.js';
import type { Context } from './context.js';
import { PrismaClient } from './generated/prisma/client.js';
import { keysMaxAgeSeconds } from './key-times.js';
import { createLoaders } from './loaders.js';
import { migrations } from './migrations.js';
import { createPasswordTurn } from './password-turn.js';
import { createPasswordHasher } from './passwords.js';
import { resolvers } from './resolvers/index.js';
import { createKeySealer } from './sealed-keys.js';
import { tokenVariables } from './variables.js';

/** Defines the subgraph `users`, which owns accounts and sessions, and issues access tokens. */
export const users: SubgraphDefinition<Context> = {
  name: 'users',
  schema: new URL('../schema.graphql', import.meta.url),
  migrations,
  topics: [accounts],
  variables: tokenVariables,
  resolvers,
  open: ({ pool, subgraphKey: secret, variables, clock, logger }) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience } = variables(tokenVariables);
    const keys = createSigningKeys({ prisma, clock, sealer: createKeySealer(secret) });
    const accessTokens = createAccessTokens({ keys, clock }, { issuer, audience });
    const passwords = createPasswordHasher();
    const tools = { prisma, clock, logger, transactions: createTransactions(prisma, clock), passwords };
    const accountCommands = createAccountCommands(tools);
    const sessions = createSessionCommands({ ...tools, accessTokens });
    const loaders = createLoaders({ prisma });
    return {
      context: (viewer) => ({
        ...{ viewer, prisma, loaders, accounts: accountCommands, sessions },
        passwordTurn: createPasswordTurn(),
      }),
      documents: [
        { path: '/.well-known/jwks.json', maxAgeSeconds: keysMaxAgeSeconds, read: () => keys.published() },
      ],
      parts: [
        { name: 'prisma', start: async () => undefined, stop: () => prisma.$disconnect() },
        // The first key is published before anybody asks for it.
        {
          name: 'signing key',
          start: async () => {
            await keys.current();
          },
          stop: async () => undefined,
        },
        ...accountCommands.parts,
        ...sessions.parts,
      ],
    };
  },
};
