import { StartError } from '@cinegraph/kit/errors';
import type { Importer, SourceRecord } from '@cinegraph/kit/import';
import { readArray, readLines, readTable } from '@cinegraph/kit/lines';
import { openSource, type Source } from '@cinegraph/kit/source';
import { migrations } from '../migrations.js';
import { readEvent, type EventRules } from './foreign-event.js';
import { openStagedTables, type StagedRating } from './staging.js';

/**
 * Rating events of others in a file, or on standard input where it is named `-`: a JSON array, JSON lines or CSV, in either
 * dialect of the topic `ratings`, seen by its first character. Later lines win. `--scale` (5 or 10) says what the top score
 * is and is never guessed; `--id-prefix` turns a bare record id into ours.
 */
export const eventFile: Importer<StagedRating> = {
  subgraph: 'rating',
  source: 'ratings',
  items: 'ratings',
  migrations,
  chunkSize: 10_000,
  options: ['scale', 'id-prefix'],
  read: async ([path, ...more], { values }) => {
    if (path === undefined || more.length > 0) throw new StartError(usage);
    const rules: EventRules = { scale: scaleOf(values['scale']), idPrefix: values['id-prefix'] ?? '' };
    const source = await openSource(path);
    return {
      total: source.size,
      position: source.position,
      identity: source.identity && `${source.identity} ${rules.scale} ${rules.idPrefix}`,
      records: eventsOf(source, rules),
    };
  },
  open: openStagedTables('ratings'),
};

const usage =
  'Usage: npm run import -- ratings <file, or - for standard input> --scale <5 or 10> [--id-prefix <prefix of movie ids>]';

const scaleOf = (text: string | undefined): 5 | 10 => {
  if (text === '5') return 5;
  if (text === '10') return 10;
  throw new StartError(`Say by --scale 5 or --scale 10 what the top score of the file is. ${usage}`);
};

const eventsOf = async function* (
  source: Source,
  rules: EventRules,
): AsyncGenerator<SourceRecord<StagedRating>> {
  const chunks = source.chunks[Symbol.asyncIterator]();
  // Whatever stands before the first character that is not a space.
  const lead: Buffer[] = [];
  let first: string | undefined;
  while (first === undefined) {
    const next: IteratorResult<Buffer, unknown> = await chunks.next();
    if (next.done === true) throw new StartError(`${source.name} is empty.`);
    lead.push(next.value);
    if (lead.length > 1_000) throw new StartError(`${source.name} begins with nothing but space.`);
    first = /[^\s\uFEFF]/.exec(next.value.toString('utf8'))?.[0];
  }
  const again = { name: source.name, chunks: joined(lead, chunks) };
  if (first === '[') {
    for await (const batch of readArray(again)) for (const record of batch) yield readJson(record, rules);
  } else if (first === '{') {
    for await (const batch of readLines(again.chunks))
      for (const record of batch) yield readJson(record, rules);
  } else {
    yield* readCsv(again, rules);
  }
};

const joined = async function* (
  lead: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    yield* lead;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
};

const readJson = (
  { line, text, fault }: { line: number; text: string; fault?: string | undefined },
  rules: EventRules,
): SourceRecord<StagedRating> => {
  const record = `line ${line}`;
  if (fault !== undefined) return { record, refused: fault, text };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { record, refused: 'it is not JSON', text };
  }
  return toRecord(record, text, readEvent(value, rules));
};

const dialects = [
  ['userId', 'recordId', 'recordType', 'value', 'eventType'],
  ['user_id', 'record_id', 'record_type', 'value', 'event_type'],
] as const;

const readCsv = async function* (
  source: Pick<Source, 'name' | 'chunks'>,
  rules: EventRules,
): AsyncGenerator<SourceRecord<StagedRating>> {
  let columns: readonly string[] = dialects[0];
  const choose = (header: readonly string[]) =>
    (columns = header.includes('record_id') || header.includes('user_id') ? dialects[1] : dialects[0]);
  for await (const rows of readTable(source, choose)) {
    for (const row of rows) {
      const record = `line ${row.line}`;
      if (row.fault !== undefined) {
        yield { record, refused: row.fault, text: row.text };
        continue;
      }
      const event = Object.fromEntries(row.cells.map((cell, at) => [columns[at] ?? '', cell]));
      const { value } = event;
      const number = value !== undefined && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
      yield toRecord(record, row.text, readEvent({ ...event, value: number }, rules));
    }
  }
};

const toRecord = (record: string, text: string, read: StagedRating | string): SourceRecord<StagedRating> =>
  typeof read === 'string' ? { record, refused: read, text } : { record, item: read };
