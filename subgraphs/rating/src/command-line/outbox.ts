import { parseArgs } from 'node:util';
import { StartError } from '@cinegraph/service/start-error';
import { parkedName, listParked, resendParked } from '@cinegraph/messaging/outbox/parked';
import { printable } from '@cinegraph/service/terminal';
import type pg from 'pg';
import type { RatingsCommand } from './command.js';
import { withOutboxes } from './outboxes.js';

type Outboxes = Readonly<Record<string, pg.Pool>>;

/** `outbox`: shows the events that were put aside since the broker would never take them, and sends them again. */
export const outbox: RatingsCommand = {
  what: 'the work on the outbox',
  usage: `
  outbox [--limit <n>]                          events put aside, since the broker said it would never take them (also
                                                metadata's where DATABASE_URL_METADATA says where it is), oldest first
  outbox resend <database>/<name>... | --all
                                                publish them again, once their topic takes them`,
  run: async (args, tools) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { limit: { type: 'string' }, all: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const [word, ...places] = positionals;
    if (word === undefined) {
      const limit = Number(values.limit ?? 20);
      if (values.all || !Number.isInteger(limit) || limit < 1 || limit > 100_000) return 'usage';
      return withOutboxes(tools, (outboxes) => list(outboxes, limit));
    }
    if (word !== 'resend' || values.limit !== undefined || values.all === places.length > 0) return 'usage';
    if (!places.every(isPlace)) return 'usage';
    return withOutboxes(tools, (outboxes) => resend(outboxes, values.all ? 'all' : places));
  },
};

const isPlace = (place: string): boolean => {
  const [database = '', name = '', ...rest] = place.split('/');
  return /^(rating|metadata)$/.test(database) && parkedName.test(name) && rest.length === 0;
};

const say = (line: string) => process.stdout.write(`${line}\n`);

const list = async (outboxes: Outboxes, limit: number) => {
  for (const [database, pool] of Object.entries(outboxes)) {
    const { count, entries } = await listParked(pool, limit);
    const shown = count > entries.length ? `, the oldest ${entries.length} of them` : '';
    say(`${database}: ${count} put aside${shown}${count > 0 ? ':' : '.'}`);
    for (const { name, topic, key, type, bytes, asideAt } of entries) {
      const what = `${topic}  ${type ?? '(as it is)'}  ${bytes} bytes  ${key ?? '(no key)'}`;
      say(`  ${`${database}/${name}`.padEnd(16)}  ${asideAt.toISOString()}  ${printable(what)}`);
    }
  }
  return 0;
};

const resend = async (outboxes: Outboxes, places: readonly string[] | 'all') => {
  const wanted = places === 'all' ? Object.keys(outboxes) : places.map((place) => place.split('/')[0] ?? '');
  if (wanted.some((database) => !outboxes[database])) {
    throw new StartError('Say where the outbox of metadata is: set DATABASE_URL_METADATA.');
  }
  let [resent, missing] = [0, 0];
  for (const [database, pool] of Object.entries(outboxes)) {
    if (!wanted.includes(database)) continue;
    const prefix = `${database}/`;
    const names =
      places === 'all'
        ? places
        : places.filter((place) => place.startsWith(prefix)).map((place) => place.slice(prefix.length));
    const done = await resendParked(pool, names);
    resent += done.size;
    for (const name of names === 'all' ? [] : names) {
      if (done.has(name)) continue;
      missing += 1;
      say(`${prefix}${name}: not put aside.`);
    }
  }
  say(`${resent} to be published again; what is refused again is put aside again.`);
  return missing === 0 ? 0 : 1;
};
