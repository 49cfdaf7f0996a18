import type { MigrationSet } from '@cinegraph/database/migrate';

/**
 * The tables of a subgraph that publishes, in the schema `messaging`: outbox, outbox_parked, outbox_end and
 * backfill.
 */
export const outboxMigrations: MigrationSet = {
  migrations: new URL('../migrations/outbox/', import.meta.url),
  history: 'messaging.outbox_migrations',
};

/** The tables of a consuming subgraph, in the schema `messaging`: inbox, dead_letter, consumer_settings. */
export const inboxMigrations: MigrationSet = {
  migrations: new URL('../migrations/inbox/', import.meta.url),
  history: 'messaging.inbox_migrations',
};

/** The tables of the PostgreSQL broker, in the schema `messaging` of the event database. */
export const brokerMigrations: MigrationSet = {
  migrations: new URL('../migrations/broker/', import.meta.url),
  history: 'messaging.broker_migrations',
};
