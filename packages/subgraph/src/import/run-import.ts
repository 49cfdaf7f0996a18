import type { MigrationSet } from '@cinegraph/database/migrate';
import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { runJob } from '../jobs/run-job.js';
import { startProgress, type Progress } from './progress.js';
import { printable } from '@cinegraph/service/terminal';

/**
 * One record of a source: what it means to us, or why it is refused. `record` says where it stands in the source, `text`
 * how it begins, for the file of refused records.
 */
export type SourceRecord<Item> =
  | { readonly record: string; readonly item: Item }
  | { readonly record: string; readonly refused: string; readonly text?: string };

/** What a chunk did to the tables. */
export interface ChunkResult {
  readonly written: number;
  readonly unchanged: number;
  /** Items that only the tables could refuse. */
  readonly refused?: readonly { readonly record: string; readonly reason: string }[];
}

/** What a run of importers gives each of them. */
export interface ImportContext {
  /** The values of the importer's own options. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Where the importers of a run leave what the next ones read, and refused records lie; undefined outside a run. */
  readonly folder: string | undefined;
}

/** A source that was opened. */
export interface OpenedSource<Item> {
  /** How much there is, in records, or in the unit that `position` counts in; undefined where that is unknown. */
  readonly total?: number | undefined;
  readonly position?: () => number;
  /** Equal for equal content: what a killed run had read whole is not read again. */
  readonly identity?: string | undefined;
  readonly records: Iterable<SourceRecord<Item>> | AsyncIterable<SourceRecord<Item>>;
}

/** One subgraph's tables while an import writes into them. */
export interface ImportTables<Item> {
  /** Whether there is nothing yet; asked for the first start. */
  isEmpty(): Promise<boolean>;
  /**
   * Begins. Answers the counts of a run that was killed after it had read the source of this identity whole: then nothing is
   * read again.
   */
  begin?(identity: string | undefined): Promise<{ read: number; refusedCount: number } | undefined>;
  /** Puts one chunk in, in one transaction. */
  write(items: readonly { readonly record: string; readonly item: Item }[]): Promise<ChunkResult>;
  /** Does what needs the whole source, such as the merge of what `write` only staged. Adds to the report. */
  finish?(report: ImportReport, stage: (what: string, total: number) => Progress): Promise<void>;
  close(): Promise<void>;
}

/** An outside source and how its records get into one subgraph's tables. */
export interface Importer<Item> {
  readonly subgraph: string;
  readonly source: string;
  readonly migrations: readonly MigrationSet[];
  /** What the report calls the records, in the plural. */
  readonly items: string;
  /** Names of options with a value, as `scale` for `--scale 5`. */
  readonly options?: readonly string[];
  /** Opens the source: its records in order, read as they are asked for. */
  read(args: readonly string[], context: ImportContext): Promise<OpenedSource<Item>>;
  open(pool: pg.Pool, context: ImportContext): ImportTables<Item> | Promise<ImportTables<Item>>;
  /** What the importers of other subgraphs that follow in this run need to know; they find it by `readHandover`. */
  handOver?(pool: pg.Pool): AsyncIterable<object>;
  readonly chunkSize?: number;
}

/** What an import did; printed at its end. */
export interface ImportReport {
  read: number;
  written: number;
  unchanged: number;
  refusedCount: number;
  /** The first hundred of the refused, whose number does not make the import larger. */
  refused: { record: string; reason: string }[];
  /** Sentences that a person should read. */
  notes: string[];
}

/** The file in the folder of a run that tells the following importers of it what the ones before them know. */
export const handoverFile = 'handover.jsonl';

/**
 * Runs an import as this process: `node import/<source>.js [--if-empty] [arguments of the source]`. Migrates, shows
 * progress, prints the report. With `--if-empty` it does nothing when the tables hold rows. Exit code 1 with one
 * sentence when the source or the store cannot be read; refused records do not change the exit code.
 */
export const runImport = <Item>(importer: Importer<Item>): Promise<void> =>
  runJob({
    subgraph: importer.subgraph,
    what: `the import of ${importer.source}`,
    migrations: importer.migrations,
    work: async ({ pool, folder }) => {
      const { values, positionals } = parseArgs({
        options: {
          'if-empty': { type: 'boolean', default: false },
          ...Object.fromEntries((importer.options ?? []).map((name) => [name, { type: 'string' as const }])),
        },
        allowPositionals: true,
      });
      const own = Object.entries(values).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      const report = await importInto(importer, pool, {
        args: positionals,
        values: Object.fromEntries(own),
        folder,
        onlyIfEmpty: values['if-empty'],
        progress: process.stdout.isTTY,
      });
      if (report) process.stdout.write(formatReport(importer, report));
      return 0;
    },
  });

/** The import itself, for `runImport` and for tests; answers the report, or undefined when it was not needed. */
export const importInto = async <Item>(
  importer: Importer<Item>,
  pool: pg.Pool,
  options: {
    args?: readonly string[];
    values?: ImportContext['values'];
    folder?: string | undefined;
    onlyIfEmpty?: boolean;
    progress?: boolean;
  } = {},
): Promise<ImportReport | undefined> => {
  const { args = [], values = {}, folder, onlyIfEmpty = false, progress = false } = options;
  const context = { values, folder };
  const tables = await importer.open(pool, context);
  try {
    if (onlyIfEmpty && !(await tables.isEmpty())) return undefined;
    const source = await importer.read(args, context);
    const resumed = await tables.begin?.(source.identity);
    const report: ImportReport = {
      ...{ read: 0, written: 0, unchanged: 0, refusedCount: 0 },
      ...resumed,
      ...{ refused: [], notes: [] },
    };
    const rejects = openRejects(importer, report, folder, resumed !== undefined);
    const stage = (what: string, total: number) =>
      startProgress({
        what: `${importer.subgraph}: ${what}`,
        items: importer.items,
        total,
        shown: progress,
      });
    try {
      if (resumed) report.notes.push('an earlier run had read the source; what it left was finished');
      else await readAll(importer, source, tables, { report, rejects, stage });
      await tables.finish?.(report, stage);
    } finally {
      await rejects.close();
    }
    await writeHandover(importer, pool, folder);
    return report;
  } finally {
    await tables.close();
  }
};

const readAll = async <Item>(
  { chunkSize = 500, source: name }: Importer<Item>,
  source: OpenedSource<Item>,
  tables: ImportTables<Item>,
  to: {
    readonly report: ImportReport;
    readonly rejects: ReturnType<typeof openRejects>;
    readonly stage: (what: string, total: number) => Progress;
  },
): Promise<void> => {
  const { report, rejects } = to;
  const { position = () => report.read } = source;
  const bar = to.stage(name, source.total ?? 0);
  let chunk: { record: string; item: Item }[] = [];
  const flush = async () => {
    if (chunk.length > 0) {
      const result = await tables.write(chunk);
      report.written += result.written;
      report.unchanged += result.unchanged;
      for (const refused of result.refused ?? []) rejects.add(refused);
      chunk = [];
    }
    await rejects.flush();
    bar.update(position(), report.read);
  };
  try {
    for await (const entry of source.records) {
      report.read += 1;
      if ('refused' in entry) {
        rejects.add({ record: entry.record, reason: entry.refused }, entry.text);
        if (rejects.waiting() >= chunkSize) await flush();
      } else {
        chunk.push(entry);
        if (chunk.length >= chunkSize) await flush();
      }
    }
    await flush();
  } finally {
    bar.stop();
  }
};

const keptRefusals = 100;

/** The file of refused records, made with the first of them; without a folder they are only counted. */
const openRejects = (
  { subgraph, source }: { subgraph: string; source: string },
  report: ImportReport,
  folder: string | undefined,
  goesOn: boolean,
) => {
  const path = folder === undefined ? undefined : join(folder, `${source}-${subgraph}-rejects.jsonl`);
  let file: FileHandle | undefined;
  let waiting: string[] = [];
  const flush = async () => {
    if (path === undefined || waiting.length === 0) {
      waiting = [];
      return;
    }
    if (file === undefined) {
      await mkdir(folder ?? '', { recursive: true });
      file = await open(path, goesOn ? 'a' : 'w', 0o600);
    }
    await file.write(waiting.join(''));
    waiting = [];
  };
  return {
    add: (refused: { record: string; reason: string }, text = '') => {
      report.refusedCount += 1;
      if (report.refused.length < keptRefusals) report.refused.push(refused);
      waiting.push(`${JSON.stringify({ ...refused, text: text.slice(0, 200) })}\n`);
    },
    waiting: () => waiting.length,
    flush,
    close: async () => {
      await flush();
      await file?.close();
      if (report.refusedCount > 0 && path !== undefined)
        report.notes.push(`the refused are listed in ${path}`);
    },
  };
};

const writeHandover = async <Item>(
  { handOver }: Importer<Item>,
  pool: pg.Pool,
  folder: string | undefined,
): Promise<void> => {
  if (!handOver || folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, handoverFile),
    (async function* () {
      for await (const entry of handOver(pool)) yield `${JSON.stringify(entry)}\n`;
    })(),
    { mode: 0o600 },
  );
};

const shownRefusals = 20;

/** The report as lines for a terminal; what came from outside is escaped. */
export const formatReport = (
  { subgraph, source, items }: { subgraph: string; source: string; items: string },
  report: ImportReport,
): string => {
  const { read, written, unchanged, refused, refusedCount, notes } = report;
  const lines = [
    `${subgraph}: ${source}: ${items} read ${read}, written ${written}, unchanged ${unchanged}, refused ${refusedCount}`,
    ...refused
      .slice(0, shownRefusals)
      .map(({ record, reason }) => `  refused ${printable(record)}: ${printable(reason)}`),
  ];
  const hidden = refusedCount - Math.min(refused.length, shownRefusals);
  if (hidden > 0) lines.push(`  … and ${hidden} more`);
  return `${[...lines, ...notes.map((note) => `  ${printable(note)}`)].join('\n')}\n`;
};
