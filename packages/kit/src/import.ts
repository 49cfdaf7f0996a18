import { parseArgs } from 'node:util';
import cliProgress from 'cli-progress';
import type pg from 'pg';
import { runJob } from './job.js';
import { printable } from './text.js';

/** One record of a source: what it means to us, or why it is refused. `record` says where it stands in the source. */
export type SourceRecord<Item> =
  { readonly record: string; readonly item: Item } | { readonly record: string; readonly refused: string };

/** What a chunk did to the tables. */
export interface ChunkResult {
  readonly written: number;
  readonly unchanged: number;
  /** Items that only the tables could refuse. */
  readonly refused?: readonly { readonly record: string; readonly reason: string }[];
}

/** An outside source and how its records get into one subgraph's tables. */
export interface Importer<Item> {
  readonly subgraph: string;
  readonly source: string;
  readonly migrations: URL;
  /** What the report calls the records, in the plural. */
  readonly items: string;
  /** Opens the source: its records in order, read as they are asked for, and how many there are where that is known. */
  read(args: readonly string[]): Promise<{
    readonly total?: number;
    readonly records: Iterable<SourceRecord<Item>> | AsyncIterable<SourceRecord<Item>>;
  }>;
  /** Opens the tables; `isEmpty` is asked for the first start, `write` puts one chunk in, in one transaction. */
  open(pool: pg.Pool): {
    isEmpty(): Promise<boolean>;
    write(items: readonly { readonly record: string; readonly item: Item }[]): Promise<ChunkResult>;
    close(): Promise<void>;
  };
  readonly chunkSize?: number;
}

/** What an import did; printed at its end. */
export interface ImportReport {
  read: number;
  written: number;
  unchanged: number;
  refused: { record: string; reason: string }[];
}

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
    work: async (pool) => {
      const { values, positionals } = parseArgs({
        options: { 'if-empty': { type: 'boolean', default: false } },
        allowPositionals: true,
      });
      const report = await importInto(importer, pool, {
        args: positionals,
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
  options: { args?: readonly string[]; onlyIfEmpty?: boolean; progress?: boolean } = {},
): Promise<ImportReport | undefined> => {
  const { args = [], onlyIfEmpty = false, progress = false } = options;
  const { chunkSize = 500 } = importer;
  const tables = importer.open(pool);
  try {
    if (onlyIfEmpty && !(await tables.isEmpty())) return undefined;
    const { total, records } = await importer.read(args);
    const report: ImportReport = { read: 0, written: 0, unchanged: 0, refused: [] };
    const bar = startBar(importer, total, progress);
    let chunk: { record: string; item: Item }[] = [];
    const flush = async () => {
      if (chunk.length === 0) return;
      const result = await tables.write(chunk);
      report.written += result.written;
      report.unchanged += result.unchanged;
      report.refused.push(...(result.refused ?? []));
      chunk = [];
      bar.update(report.read);
    };
    try {
      for await (const entry of records) {
        report.read += 1;
        if ('refused' in entry) {
          report.refused.push({ record: entry.record, reason: entry.refused });
        } else {
          chunk.push(entry);
          if (chunk.length >= chunkSize) await flush();
        }
      }
      await flush();
      bar.update(report.read);
    } finally {
      bar.stop();
    }
    return report;
  } finally {
    await tables.close();
  }
};

const shownRefusals = 20;

/** The report as lines for a terminal; what came from outside is escaped. */
export const formatReport = (
  { subgraph, source, items }: { subgraph: string; source: string; items: string },
  report: ImportReport,
): string => {
  const { read, written, unchanged, refused } = report;
  const lines = [
    `${subgraph}: ${source}: ${items} read ${read}, written ${written}, unchanged ${unchanged}, refused ${refused.length}`,
    ...refused
      .slice(0, shownRefusals)
      .map(({ record, reason }) => `  refused ${printable(record)}: ${printable(reason)}`),
  ];
  if (refused.length > shownRefusals) lines.push(`  … and ${refused.length - shownRefusals} more`);
  return `${lines.join('\n')}\n`;
};

const startBar = (
  importer: { subgraph: string; source: string; items: string },
  total: number | undefined,
  shown: boolean,
) => {
  if (!shown) return { update: () => undefined, stop: () => undefined };
  const bar = new cliProgress.SingleBar(
    {
      format: `${importer.subgraph}: ${importer.source} {bar} {percentage}% · {value}/{total} ${importer.items} · {eta_formatted} left`,
      hideCursor: true,
      clearOnComplete: true,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total ?? 0, 0);
  return { update: (value: number) => bar.update(value), stop: () => bar.stop() };
};
