import { isUtf8 } from 'node:buffer';
import { parseArgs } from 'node:util';
import { systemClock } from '@cinegraph/service/clock';
import { replayDeadLetter, type ReplayOutcome } from '@cinegraph/messaging/consumer/replay';
import {
  countDeadLetters,
  dropDeadLetters,
  findDeadLetter,
  findOpenDeadLetters,
  listDeadLetters,
  type DeadLetter,
  type DeadLetterChoice,
} from '@cinegraph/messaging/consumer/dead-letters';
import { subgraphKeyVariable } from '@cinegraph/service/env';
import type { JobTools } from '@cinegraph/subgraph/jobs/run-job';
import { createLogger } from '@cinegraph/service/logger';
import { printable } from '@cinegraph/service/terminal';
import { inTransaction } from '@cinegraph/database/transaction';
import { createIngest, ingestVariables, readIngestSettings } from '../consumers/ingest.js';
import { createKnownMovies } from '../consumers/known-movies.js';
import type { RatingsCommand } from './command.js';

/** `dlq`: shows the messages that could not be taken in, and takes them in again or gives them up. */
export const dlq: RatingsCommand = {
  what: 'the work on dead letters',
  usage: `
  dlq list [--code <code>] [--limit <n>]        how many dead letters are open, and the newest of them
  dlq show <id>                                 one of them, whole
  dlq replay <id>... | --code <code> | --all    take them in again as the messages that they were (also: replay ...)
  dlq drop <id>...                              give them up`,
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
    const wholesale = values.all === true || values.code !== undefined;
    switch (word) {
      case 'list':
        return id === undefined && values.all === undefined
          ? list(tools, { limit, code: values.code })
          : 'usage';
      case 'show':
        return id !== undefined && more.length === 0 && !wholesale ? show(tools, id) : 'usage';
      case 'replay':
        if (wholesale === ids.length > 0) return 'usage';
        return replayThem(tools, wholesale ? { all: true, code: values.code } : { ids });
      case 'drop':
        return ids.length > 0 && !wholesale ? drop(tools, ids) : 'usage';
      default:
        return 'usage';
    }
  },
};

/** `replay`: the same as `dlq replay`. */
export const replay: RatingsCommand = {
  ...dlq,
  usage: '',
  run: (args, tools) => dlq.run(['replay', ...args], tools),
};

const say = (line: string) => process.stdout.write(`${line}\n`);

const list = async ({ pool }: JobTools, chosen: { limit: number; code: string | undefined }) => {
  const { counts, letters } = await inTransaction(pool, async (tx) => ({
    counts: await countDeadLetters(tx),
    letters: await listDeadLetters(tx, chosen),
  }));
  if (counts.length === 0) say('There are no open dead letters.');
  for (const { consumer, code, count } of counts) say(`${consumer}: ${count} × ${printable(code)}`);
  for (const { id, createdAt, code, reason, message } of letters) {
    const place = `${message.topic}/${message.partition}/${message.offset}`;
    say(`${id.padStart(8)}  ${createdAt.toISOString()}  ${printable(`${place}  ${code}: ${reason}`)}`);
  }
  return 0;
};

const show = async ({ pool }: JobTools, id: string) => {
  const letter = await inTransaction(pool, (tx) => findDeadLetter(tx, id));
  if (!letter) {
    process.stderr.write(`There is no dead letter ${id}.\n`);
    return 1;
  }
  for (const [name, text] of describe(letter)) say(`${`${name}:`.padEnd(12)}${printable(text)}`);
  return 0;
};

const maxShown = 20_000;

const describe = (letter: DeadLetter): readonly (readonly [string, string])[] => {
  const { message } = letter;
  return [
    ['id', letter.id],
    ['state', `${letter.state} since ${letter.updatedAt.toISOString()}`],
    ['code', letter.code],
    ['reason', letter.reason],
    ['consumer', letter.consumer],
    ['identity', letter.dedupKey],
    ['place', `${message.topic}, partition ${message.partition}, offset ${message.offset}`],
    ['appended', message.appendedAt.toISOString()],
    ...Object.entries(message.headers).map(
      ([name, value]) => [`header`, `${name} = ${value.toString('latin1')}`] as const,
    ),
    ['key', bytesAsText(message.key)],
    ['value', bytesAsText(message.value)],
  ];
};

const bytesAsText = (bytes: Buffer | null): string => {
  if (bytes === null) return '(none)';
  const text = isUtf8(bytes) ? bytes.toString('utf8') : `(not UTF-8, as base64) ${bytes.toString('base64')}`;
  return text.length > maxShown ? `${text.slice(0, maxShown)}… (${bytes.length} bytes)` : text;
};

const replayThem = async ({ pool, variables }: JobTools, choice: DeadLetterChoice) => {
  // Required here as it is of a service: without it a forged letter would pass.
  const env = variables({ SUBGRAPH_KEY: subgraphKeyVariable, ...ingestVariables });
  const tools = { pool, logger: createLogger({ name: 'rating', level: 'error' }) };
  const ingest = createIngest({ clock: systemClock }, readIngestSettings(env, env.SUBGRAPH_KEY));
  const knownMovies = createKnownMovies({ secret: env.SUBGRAPH_KEY });
  const replayers = new Map<string, (id: string) => Promise<ReplayOutcome>>([
    [ingest.name, (id) => replayDeadLetter(tools, ingest, id)],
    [knownMovies.name, (id) => replayDeadLetter(tools, knownMovies, id)],
  ]);
  const open = await inTransaction(pool, async (tx) => findOpenDeadLetters(tx, choice));
  const counts = { replayed: 0, duplicate: 0, refused: 0, 'not open': 0 };
  for (const { id, consumer } of open) {
    const result = (await replayers.get(consumer)?.(id)) ?? { outcome: 'not open' };
    counts[result.outcome] += 1;
    if ('code' in result) say(`${id}: still refused: ${printable(`${result.code}: ${result.reason}`)}`);
  }
  const missing = 'ids' in choice ? new Set(choice.ids).size - open.length : 0;
  counts['not open'] += missing;
  say(
    `${counts.replayed} replayed, ${counts.duplicate} had come in by another message, ${counts.refused} still refused, ${counts['not open']} not open.`,
  );
  return counts.refused + counts['not open'] > 0 ? 1 : 0;
};

const drop = async ({ pool }: JobTools, ids: readonly string[]) => {
  const dropped = await inTransaction(pool, (tx) => dropDeadLetters(tx, ids));
  for (const id of ids) if (!dropped.has(id)) say(`${id}: not open.`);
  say(`${dropped.size} dropped.`);
  return dropped.size === new Set(ids).size ? 0 : 1;
};
