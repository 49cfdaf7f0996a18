import type { MigrationSet } from '@cinegraph/database/migrate';
import { inboxMigrations, outboxMigrations } from '@cinegraph/messaging/migrations';

/**
 * The migrations of metadata's database: its own by Prisma, then those of the tables for messaging that it
 * uses.
 */
export const migrations: readonly MigrationSet[] = [
  { migrations: new URL('../../../prisma/metadata/migrations/', import.meta.url) },
  outboxMigrations,
  inboxMigrations,
];
