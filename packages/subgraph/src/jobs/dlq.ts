import { isUtf8 } from 'node:buffer';
import { parseArgs } from 'node:util';
import { inTransaction } from '@cinegraph/database/transaction';
import {
  countDeadLetters,
  dropDeadLetters,
  findDeadLetter,
  findOpenDeadLetters,
  listDeadLetters,
  type DeadLetter,
  type DeadLetterChoice,
} from '@cinegraph/messaging/consumer/dead-letters';
import { replayDeadLetter } from '@cinegraph/messaging/consumer/replay';
import {
  readRecordedSettings,
  type ConsumerSettings,
  type RecordedSettings,
} from '@cinegraph/messaging/consumer/settings';
import { readEnv, subgraphKeyVariable } from '@cinegraph/service/env';
import { createLogger } from '@cinegraph/service/logger';
import { StartError } from '@cinegraph/service/start-error';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from './commands.js';
import { describeConsumers, type EventsDefinition } from './events-definition.js';
import type { JobTools } from './run-job.js';

/** `dlq`: shows the messages that could not be consumed, and consumes them again or drops them. */
export const dlqCommand = (definition: EventsDefinition): Command => ({
  what: 'the work on dead letters',
  usage: [
    'dlq list [--code <code>] [--limit <n>]',
    'dlq show <id>',
    'dlq replay <id>... | --code <code> | --all',
    'dlq drop <id>...',
  ],
  run: async ([word, ...args], tools) => {
    // Only a subgraph that consumes has the table.
    if (describeConsumers(definition).length === 0) {
      say(`${definition.subgraph} consumes no messages, so it has no dead letters.`);
      return 0;
    }
    const { values, positionals: ids } = parseArgs({
      args,
      options: { code: { type: 'string' }, limit: { type: 'string' }, all: { type: 'boolean' } },
      allowPositionals: true,
    });
    const limit = Number(values.limit ?? 20);
    const isId = (text: string) => /^\d{1,18}$/.test(text);
    if (!ids.every(isId) || !Number.isInteger(limit) || limit < 1 || limit > 100_000) return 'usage';
    const [id, ...more] = ids;
    const selectsMany = values.all === true || values.code !== undefined;
    switch (word) {
      case 'list':
        return id === undefined && values.all === undefined
          ? list(definition, tools, { limit, code: values.code })
          : 'usage';
      case 'show':
        return id !== undefined && more.length === 0 && !selectsMany ? show(definition, tools, id) : 'usage';
      case 'replay':
        if (selectsMany === ids.length > 0) return 'usage';
        return replay(definition, tools, selectsMany ? { all: true, code: values.code } : { ids });
      case 'drop':
        return ids.length > 0 && !selectsMany ? drop(definition, tools, ids) : 'usage';
      default:
        return 'usage';
    }
  },
});

const list = async (
  { subgraph }: EventsDefinition,
  { pool }: JobTools,
  options: { readonly limit: number; readonly code: string | undefined },
): Promise<number> => {
  const { counts, letters } = await inTransaction(pool, async (tx) => ({
    counts: await countDeadLetters(tx),
    letters: await listDeadLetters(tx, options),
  }));
  if (counts.length === 0) say(`${subgraph}: no open dead letters.`);
  for (const { consumer, code, count } of counts)
    say(`${subgraph}.${consumer}: ${count} × ${printable(code)}`);
  for (const { id, createdAt, code, reason, message } of letters) {
    const position = `${message.topic}/${message.partition}/${message.offset}`;
    say(`${id.padStart(8)}  ${createdAt.toISOString()}  ${printable(`${position}  ${code}: ${reason}`)}`);
  }
  return 0;
};

const show = async ({ subgraph }: EventsDefinition, { pool }: JobTools, id: string): Promise<number> => {
  const letter = await inTransaction(pool, (tx) => findDeadLetter(tx, id));
  if (!letter) {
    process.stderr.write(`${subgraph} has no dead letter ${id}.\n`);
    return 1;
  }
  for (const [name, text] of describe(letter)) say(`${`${name}:`.padEnd(12)}${printable(text)}`);
  return 0;
};

const describe = (letter: DeadLetter): readonly (readonly [string, string])[] => {
  const { message } = letter;
  return [
    ['id', letter.id],
    ['state', `${letter.state} since ${letter.updatedAt.toISOString()}`],
    ['code', letter.code],
    ['reason', letter.reason],
    ['consumer', letter.consumer],
    ['dedup key', letter.dedupKey],
    ['position', `${message.topic}, partition ${message.partition}, offset ${message.offset}`],
    ['appended', message.appendedAt.toISOString()],
    ...Object.entries(message.headers).map(
      ([name, value]) => ['header', `${name} = ${value.toString('latin1')}`] as const,
    ),
    ['key', bytesAsText(message.key)],
    ['value', bytesAsText(message.value)],
  ];
};

const maxShown = 20_000;

const bytesAsText = (bytes: Buffer | null): string => {
  if (bytes === null) return '(none)';
  const text = isUtf8(bytes) ? bytes.toString('utf8') : `(not UTF-8, as base64) ${bytes.toString('base64')}`;
  return text.length > maxShown ? `${text.slice(0, maxShown)}… (${bytes.length} bytes)` : text;
};

/**
 * Consumes dead letters with the settings of the last start of the service, which its consumers have stored.
 * The environment of this process gives only the key.
 */
const replay = async (
  events: EventsDefinition,
  { pool, variables }: JobTools,
  choice: DeadLetterChoice,
): Promise<number> => {
  // The key is required as it is for the service: without it, a dead letter with a forged signature would be
  // accepted.
  const { SUBGRAPH_KEY: secret } = variables({ SUBGRAPH_KEY: subgraphKeyVariable });
  const { subgraph } = events;
  const logger = createLogger({ name: subgraph, level: 'error' });
  const open = await inTransaction(pool, async (tx) => findOpenDeadLetters(tx, choice));
  const recorded = await readRecordedSettings(pool);
  reportSettings(events, new Set(open.map(({ consumer }) => consumer)), recorded);
  const settings = Object.assign(
    {},
    ...[...recorded.values()].map((one) => one.settings),
  ) as ConsumerSettings;
  const definitions = new Map(
    events
      .consumers({ variables: (shape) => readEnv(shape, settings), secret })
      .map((consumer) => [consumer.name, consumer]),
  );
  const counts = { replayed: 0, duplicate: 0, refused: 0, 'not open': 0 };
  for (const { id, consumer } of open) {
    const definition = definitions.get(consumer);
    const result = definition
      ? await replayDeadLetter({ pool, logger }, definition, id)
      : { outcome: 'not open' as const };
    counts[result.outcome] += 1;
    if ('code' in result) say(`${id}: still refused: ${printable(`${result.code}: ${result.reason}`)}`);
  }
  if ('ids' in choice) counts['not open'] += new Set(choice.ids).size - open.length;
  say(
    `${subgraph}: ${counts.replayed} replayed, ${counts.duplicate} consumed already by another message, ${counts.refused} still refused, ${counts['not open']} not open.`,
  );
  return counts.refused + counts['not open'] > 0 ? 1 : 0;
};

/**
 * Prints the settings with which the dead letters of these consumers are replayed. Throws a StartError if a
 * consumer that has settings was never started.
 */
const reportSettings = (
  events: EventsDefinition,
  replayed: ReadonlySet<string>,
  recorded: ReadonlyMap<string, RecordedSettings>,
): void => {
  const { subgraph } = events;
  for (const { name, settings: needed } of describeConsumers(events)) {
    if (!replayed.has(name) || !needed) continue;
    const last = recorded.get(name);
    if (!last) {
      throw new StartError(
        `${subgraph} has not been started on this database by this release, so the settings of its consumer ${name} are not known. Start it with them, then replay.`,
      );
    }
    const settings = Object.keys(needed).map((variable) => {
      const value = last.settings[variable];
      return value === undefined ? `${variable} is not set` : `${variable}=${printable(value)}`;
    });
    say(
      `${subgraph}.${name}: replays with the settings of the service since ${last.startedAt.toISOString()}: ${settings.join(', ')}`,
    );
  }
};

const drop = async (
  { subgraph }: EventsDefinition,
  { pool }: JobTools,
  ids: readonly string[],
): Promise<number> => {
  const dropped = await inTransaction(pool, (tx) => dropDeadLetters(tx, ids));
  for (const id of ids) if (!dropped.has(id)) say(`${id}: not open.`);
  say(`${subgraph}: ${dropped.size} dropped.`);
  return dropped.size === new Set(ids).size ? 0 : 1;
};
