import { StartError } from '@cinegraph/service/start-error';
import { readJsonArray } from '@cinegraph/subgraph/import/json-array';
import { readLines, type TextRecord } from '@cinegraph/subgraph/import/lines';
import { readTable } from '@cinegraph/subgraph/import/table';
import type { Source } from '@cinegraph/subgraph/import/source';
import { idOf } from '../consumers/external-event.js';

/**
 * A record of a file of external ratings: an event in one of the two dialects with the time of the rating,
 * which is null if the file does not have it; or why the record was refused. `record` is its line, in a JSON
 * array also its number.
 */
export type ExternalRecord =
  | {
      readonly record: string;
      readonly event: unknown;
      readonly eventTime: Date | null;
      readonly text: string;
    }
  | { readonly record: string; readonly refused: string; readonly text: string };

/**
 * Yields the external ratings of a source. The source is a JSON array, JSON lines or CSV, which its first
 * character shows. Its records are events in one of the two dialects, or plain ratings (`userId`, `movieId`,
 * `rating` and perhaps `timestamp` and `providerId`), which become events.
 */
export const readExternalRecords = async function* (source: Source): AsyncGenerator<ExternalRecord> {
  const chunks = source.chunks[Symbol.asyncIterator]();
  // The chunks up to the first character that is not a space.
  const lead: Buffer[] = [];
  let first: string | undefined;
  while (first === undefined) {
    const next: IteratorResult<Buffer, unknown> = await chunks.next();
    if (next.done === true) throw new StartError(`${source.name} is empty.`);
    lead.push(next.value);
    if (lead.length > 1_000)
      throw new StartError(`${source.name} begins with more space than a file of ratings has.`);
    first = /[^\s\uFEFF]/.exec(next.value.toString('utf8'))?.[0];
  }
  const whole = { name: source.name, chunks: joined(lead, chunks) };
  if (first === '[') {
    for await (const batch of readJsonArray(whole)) for (const record of batch) yield readJson(record);
  } else if (first === '{') {
    for await (const batch of readLines(whole.chunks)) for (const record of batch) yield readJson(record);
  } else {
    yield* readCsv(whole);
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

const readJson = ({ line, element, text, fault }: TextRecord): ExternalRecord => {
  const record = element === undefined ? `line ${line}` : `record ${element}, line ${line}`;
  if (fault !== undefined) return { record, refused: fault, text };
  try {
    return toRecord(record, JSON.parse(text) as unknown, text);
  } catch {
    return { record, refused: 'it is not JSON', text };
  }
};

const toRecord = (record: string, value: unknown, text: string): ExternalRecord => {
  if (!isPlainRating(value)) return { record, event: value, eventTime: null, text };
  const { userId, movieId, rating, timestamp, providerId } = value;
  const eventTime = timeOf(timestamp);
  if (idOf(movieId) === undefined) return { record, refused: 'movieId is missing or not an id', text };
  if (eventTime === undefined) return { record, refused: timestampRule, text };
  const event = {
    userId,
    recordId: movieId,
    recordType: 'movie',
    value: rating,
    eventType: 'put',
    providerId,
  };
  return { record, event, eventTime, text };
};

/** A rating without a type of record or event, as MovieLens and many others publish them. */
interface PlainRating {
  readonly userId?: unknown;
  readonly movieId: unknown;
  readonly rating?: unknown;
  readonly timestamp?: unknown;
  readonly providerId?: unknown;
}

const isPlainRating = (value: unknown): value is PlainRating =>
  typeof value === 'object' &&
  value !== null &&
  Object.hasOwn(value, 'movieId') &&
  !['recordId', 'record_id'].some((name) => Object.hasOwn(value, name));

const timestampRule = 'timestamp is neither seconds since 1970 nor RFC 3339 text with a time zone';

/** Returns null for a missing time, and undefined for a value that is none. */
const timeOf = (value: unknown): Date | null | undefined => {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const text = String(value);
  if (/^\d{1,11}$/.test(text)) return new Date(Number(text) * 1000);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
};

/** The columns of a CSV file, by kind of record. */
const kinds = [
  ['userId', 'movieId', 'rating'],
  ['userId', 'recordId', 'recordType', 'value', 'eventType'],
  ['user_id', 'record_id', 'record_type', 'value', 'event_type'],
] as const;

/** Returns the columns of the kind of which the header has the most, also if some are spelled differently. */
const columnsFor = (header: readonly string[]): readonly string[] => {
  const spelled = (names: readonly string[]) =>
    names.map((name) => name.toLowerCase().replace(/[^a-z]/g, ''));
  const shareOf = (columns: readonly string[], names: readonly string[]) =>
    columns.filter((column) => names.includes(column)).length / columns.length;
  const likeness = (columns: readonly string[]) =>
    shareOf(spelled(columns), spelled(header)) + shareOf(columns, header) / 10;
  const [nearest = kinds[0]] = kinds.toSorted((one, other) => likeness(other) - likeness(one));
  const optional = nearest === kinds[0] ? ['timestamp', 'providerId'] : ['providerId', 'provider_id'];
  return [...nearest, ...optional.filter((column) => header.includes(column))];
};

const readCsv = async function* (source: Pick<Source, 'name' | 'chunks'>): AsyncGenerator<ExternalRecord> {
  let columns: readonly string[] = [];
  const choose = (header: readonly string[]) => (columns = columnsFor(header));
  for await (const rows of readTable(source, choose)) {
    for (const row of rows) {
      const record = `line ${row.line}`;
      if (row.fault !== undefined) {
        yield { record, refused: row.fault, text: row.text };
        continue;
      }
      const fields = row.cells.map((cell, at) => {
        const column = columns[at] ?? '';
        return [column, column === 'value' || column === 'rating' ? numberOf(cell) : cell] as const;
      });
      yield toRecord(record, Object.fromEntries(fields), row.text);
    }
  }
};

/** Returns the number that a cell has, or else its text. */
const numberOf = (cell: string): number | string => (/^-?\d+(\.\d+)?$/.test(cell) ? Number(cell) : cell);
