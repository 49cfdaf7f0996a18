import { backfillCommand } from './backfill.js';
import { runCommands, type Command } from './commands.js';
import { dlqCommand } from './dlq.js';
import type { EventsDefinition } from './events-definition.js';
import { lagCommand } from './lag.js';
import { outboxCommand } from './outbox.js';

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
