import { createLoader } from '@cinegraph/subgraph/loader';
import type { PrismaClient } from './generated/prisma/client.js';
import { findUsers } from './queries/accounts.js';

/** The loaders of users. */
export type Loaders = ReturnType<typeof createLoaders>;

/** Creates the loaders. Each of them reads the keys of all requests of a tick by one SQL statement. */
export const createLoaders = ({ prisma }: { prisma: PrismaClient }) => ({
  /** A user with the public name, or null if the account is not known or was deleted. */
  userById: createLoader({
    find: (ids: readonly string[]) => findUsers(prisma, ids),
    keyOf: (id) => id,
    missing: () => null,
  }),
});
