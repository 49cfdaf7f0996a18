import { parseArgs } from 'node:util';
import type pg from 'pg';
import { listParked, parkedName, resendParked } from '@cinegraph/messaging/outbox/parked';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from './commands.js';
import type { EventsDefinition } from './events-definition.js';

/**
 * `outbox`: lists the events that are parked because the broker rejected them for good, and publishes them
 * again.
 */
export const outboxCommand = ({ subgraph }: EventsDefinition): Command => ({
  what: 'the work on the outbox',
  usage: ['outbox [--limit <n>]', 'outbox resend <name>... | --all'],
  run: async (args, { pool }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { limit: { type: 'string' }, all: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const [word, ...names] = positionals;
    if (word === undefined) {
      const limit = Number(values.limit ?? 20);
      if (values.all || !Number.isInteger(limit) || limit < 1 || limit > 100_000) return 'usage';
      return list(subgraph, pool, limit);
    }
    if (word !== 'resend' || values.limit !== undefined || values.all === names.length > 0) return 'usage';
    if (!names.every((name) => parkedName.test(name))) return 'usage';
    return resend(subgraph, pool, values.all ? 'all' : names);
  },
});

const list = async (subgraph: string, pool: pg.Pool, limit: number): Promise<number> => {
  const { count, entries } = await listParked(pool, limit);
  const shown = count > entries.length ? `, the oldest ${entries.length} of them` : '';
  say(`${subgraph}: ${count} parked${shown}${count > 0 ? ':' : '.'}`);
  for (const { name, topic, key, type, bytes, parkedAt } of entries) {
    const what = `${topic}  ${type ?? '(a copy)'}  ${bytes} bytes  ${key ?? '(no key)'}`;
    say(`  ${name.padEnd(8)}  ${parkedAt.toISOString()}  ${printable(what)}`);
  }
  return 0;
};

const resend = async (subgraph: string, pool: pg.Pool, names: readonly string[] | 'all'): Promise<number> => {
  const done = await resendParked(pool, names);
  const missing = names === 'all' ? [] : names.filter((name) => !done.has(name));
  for (const name of missing) say(`${subgraph}: ${name} is not parked.`);
  say(
    `${subgraph}: ${done.size} to be published again; those that the broker rejects again are parked again.`,
  );
  return missing.length === 0 ? 0 : 1;
};
