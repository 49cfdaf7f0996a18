import { StartError } from '@cinegraph/service/start-error';
import { readJsonArray } from '@cinegraph/subgraph/import/json-array';
import { readLines, type TextRecord } from '@cinegraph/subgraph/import/lines';
import { readTable } from '@cinegraph/subgraph/import/table';
import type { Source } from '@cinegraph/subgraph/import/source';

/**
 * A record of a file of external rating events: its parsed JSON, or why it was refused. `record` is its line.
 */
export type ExternalRecord =
  | { readonly record: string; readonly event: unknown; readonly text: string }
  | { readonly record: string; readonly refused: string; readonly text: string };

/**
 * Yields the external rating events of a source, in either dialect. The source is a JSON array, JSON lines or
 * CSV, which its first character shows.
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

const readJson = ({ line, text, fault }: TextRecord): ExternalRecord => {
  const record = `line ${line}`;
  if (fault !== undefined) return { record, refused: fault, text };
  try {
    return { record, event: JSON.parse(text) as unknown, text };
  } catch {
    return { record, refused: 'it is not JSON', text };
  }
};

const dialects = [
  ['userId', 'recordId', 'recordType', 'value', 'eventType'],
  ['user_id', 'record_id', 'record_type', 'value', 'event_type'],
] as const;

const readCsv = async function* (source: Pick<Source, 'name' | 'chunks'>): AsyncGenerator<ExternalRecord> {
  let columns: readonly string[] = dialects[0];
  // The header decides which of the two dialects the rows are in.
  const choose = (header: readonly string[]) => {
    const [dialect, provider] =
      header.includes('record_id') || header.includes('user_id')
        ? ([dialects[1], 'provider_id'] as const)
        : ([dialects[0], 'providerId'] as const);
    columns = header.includes(provider) ? [...dialect, provider] : dialect;
    return columns;
  };
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
      yield { record, event: { ...event, value: number }, text: row.text };
    }
  }
};
