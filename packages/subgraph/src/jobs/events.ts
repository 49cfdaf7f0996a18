import type { MigrationSet } from '@cinegraph/database/migrate';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { backfillCommand } from './backfill.js';
import { runCommands, type Command } from './commands.js';
import { dlqCommand } from './dlq.js';
import { lagCommand } from './lag.js';
import { outboxCommand } from './outbox.js';
import type { JobTools } from './run-job.js';

/** What a subgraph publishes and consumes, as far as the commands on its events need to know it. */
export interface EventsDefinition {
  readonly subgraph: string;
  readonly migrations: readonly MigrationSet[];
  /**
   * Returns the definitions of the subgraph's consumers. `secret` is the graph's key; it is undefined if only
   * their names and topics are needed.
   */
  consumers(
    options: Pick<JobTools, 'variables'> & { readonly secret: string | undefined },
  ): readonly ConsumerDefinition<unknown>[];
  readonly backfills: readonly Backfill[];
}

/** Returns the commands that every subgraph has on its events, by the word that a person types. */
export const eventCommands = (definition: EventsDefinition): Readonly<Record<string, Command>> => ({
  lag: lagCommand(definition),
  outbox: outboxCommand(definition),
  dlq: dlqCommand(definition),
  backfill: backfillCommand(definition),
});

/**
 * Runs `lag`, `outbox`, `dlq` or `backfill` of one subgraph as this process. `npm run events` runs such a
 * process for each subgraph.
 */
export const runEvents = (definition: EventsDefinition): Promise<void> =>
  runCommands({ ...definition, call: 'npm run events --', commands: eventCommands(definition) });
