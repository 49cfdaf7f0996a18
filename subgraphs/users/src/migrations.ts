import type { MigrationSet } from '@cinegraph/database/migrate';
import { outboxMigrations } from '@cinegraph/messaging/migrations';

/** The migrations of the database of users: its own by Prisma, then those of the outbox. */
export const migrations: readonly MigrationSet[] = [
  { migrations: new URL('../../../prisma/users/migrations/', import.meta.url) },
  outboxMigrations,
];
