import type { MigrationSet } from '@cinegraph/database/migrate';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { readEnv } from '@cinegraph/service/env';
import type { JobTools } from './run-job.js';

/** What a subgraph publishes and consumes, as far as the commands on its events need to know it. */
export interface EventsDefinition {
  readonly subgraph: string;
  readonly migrations: readonly MigrationSet[];
  /**
   * Returns the definitions of the subgraph's consumers. `variables` reads what the service was started with,
   * and `secret` is the graph's key. Without both, only names, topics and settings may be used.
   */
  consumers(
    options: Pick<JobTools, 'variables'> & { readonly secret: string | undefined },
  ): readonly ConsumerDefinition<unknown>[];
  readonly backfills: readonly Backfill[];
}

/**
 * Returns the consumers of a subgraph with no variable set: enough for their names, topics and the names of
 * their settings. The environment of a command says nothing about the service.
 */
export const describeConsumers = ({ consumers }: EventsDefinition): readonly ConsumerDefinition<unknown>[] =>
  consumers({ variables: (shape) => readEnv(shape, {}), secret: undefined });
