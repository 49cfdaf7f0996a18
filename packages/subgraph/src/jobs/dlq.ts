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
import { subgraphKeyVariable } from '@cinegraph/service/env';
import { createLogger } from '@cinegraph/service/logger';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from './commands.js';
import type { EventsDefinition } from './events.js';
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

const replay = async (
  { subgraph, consumers }: EventsDefinition,
  { pool, variables }: JobTools,
  choice: DeadLetterChoice,
): Promise<number> => {
  // The key is required as it is for the service: without it, a dead letter with a forged signature would be
  // accepted.
  const { SUBGRAPH_KEY: secret } = variables({ SUBGRAPH_KEY: subgraphKeyVariable });
  const logger = createLogger({ name: subgraph, level: 'error' });
  const definitions = new Map(consumers({ variables, secret }).map((consumer) => [consumer.name, consumer]));
  const open = await inTransaction(pool, async (tx) => findOpenDeadLetters(tx, choice));
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
