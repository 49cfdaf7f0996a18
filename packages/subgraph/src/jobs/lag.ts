import { parseArgs } from 'node:util';
import { lagTables, readLag } from '@cinegraph/messaging/lag';
import { formatTables } from '@cinegraph/service/terminal';
import type { Command } from './commands.js';
import { describeConsumers, type EventsDefinition } from './events-definition.js';

/**
 * `lag`: shows the events that are still on their way: in the outbox, not consumed yet, or dead letters. With
 * `--json` it prints the same tables as JSON, for the command line to put those of all subgraphs together.
 */
export const lagCommand = (definition: EventsDefinition): Command => ({
  what: 'reading the lag',
  usage: ['lag [--json]'],
  run: async (args, { pool, openBroker }) => {
    const { subgraph } = definition;
    const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
    const groups = describeConsumers(definition).map(({ name, topics }) => ({
      group: `${subgraph}.${name}`,
      topics,
    }));
    const broker = await openBroker([]);
    await broker.part.start();
    try {
      const tables = lagTables(await readLag({ subgraph, pool, broker, consumers: groups }));
      process.stdout.write(values.json ? `${JSON.stringify(tables)}\n` : formatTables(tables));
      return 0;
    } finally {
      await broker.part.stop();
    }
  },
});
