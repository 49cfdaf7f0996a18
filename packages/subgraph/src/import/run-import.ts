import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { UsageError } from '@cinegraph/service/start-error';
import { endOnBrokenPipe, reasonOf } from '@cinegraph/service/terminal';
import { runJob } from '../jobs/run-job.js';
import {
  handoverFile,
  type ImportContext,
  type Importer,
  type ImportTables,
  type OpenedSource,
} from './importer.js';
import { startProgress, type Progress } from './progress.js';
import { openRejects, type Rejects } from './rejects.js';
import { exitCodeOf, formatReport, type ImportReport } from './report.js';

/**
 * Runs an import as this process: `node import/<source>.js [--if-empty] [arguments of the source]`. Migrates
 * the database, shows the progress and prints the report. With `--if-empty` it does nothing if the tables
 * have rows. If the source or the store cannot be read, it prints one sentence and exits with 1. Refused
 * records leave the exit code 0, unless every record is refused; then it is 1.
 */
export const runImport = <Item>(importer: Importer<Item>): Promise<void> => {
  endOnBrokenPipe();
  return runJob({
    subgraph: importer.subgraph,
    what: `the import of ${importer.source}`,
    migrations: importer.migrations,
    work: async ({ pool, folder }) => {
      const { values, positionals } = readArgs(importer.options ?? []);
      const optionValues = Object.entries(values).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      const report = await importInto(importer, pool, {
        args: positionals,
        values: Object.fromEntries(optionValues),
        folder,
        onlyIfEmpty: values['if-empty'],
        progress: process.stdout.isTTY,
      });
      if (!report) return 0;
      process.stdout.write(formatReport(importer, report));
      return exitCodeOf(report);
    },
  });
};

const readArgs = (options: readonly string[]) => {
  try {
    return parseArgs({
      options: {
        'if-empty': { type: 'boolean', default: false },
        ...Object.fromEntries(options.map((name) => [name, { type: 'string' as const }])),
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(`${reasonOf(error)}\nFor the options, see: npm run import -- --help`, {
      cause: error,
    });
  }
};

/**
 * Imports a source into the database of `pool`, for `runImport` and for tests. Returns the report, or
 * undefined if `onlyIfEmpty` is set and the tables have rows.
 */
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
    const resumed = await tables.begin?.(source.fingerprint);
    const report: ImportReport = {
      read: resumed?.read ?? 0,
      written: 0,
      unchanged: 0,
      refusedCount: resumed?.refusedCount ?? 0,
      refused: [],
      notes: [],
    };
    const rejects = openRejects({ importer, report, folder, append: resumed !== undefined });
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
    readonly rejects: Rejects;
    readonly stage: (what: string, total: number) => Progress;
  },
): Promise<void> => {
  const { report, rejects } = to;
  const { position = () => report.read } = source;
  const bar = to.stage(name, source.total ?? 0);
  let chunk: { record: string; item: Item }[] = [];
  const leftOut = new Map<string, { count: number; first: string }>();
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
    for await (const entry of tables.prepare?.(source.records) ?? source.records) {
      report.read += 1;
      if ('refused' in entry) {
        rejects.add({ record: entry.record, reason: entry.refused }, entry.text);
        if (rejects.waiting() >= chunkSize) await flush();
      } else {
        chunk.push(entry);
        for (const field of entry.leftOut ?? []) {
          const { count, first } = leftOut.get(field) ?? { count: 0, first: entry.record };
          leftOut.set(field, { count: count + 1, first });
        }
        if (chunk.length >= chunkSize) await flush();
      }
    }
    await flush();
    for (const [field, { count, first }] of leftOut) {
      report.notes.push(`${field} was not usable and is left out ${count} times, first in ${first}`);
    }
  } finally {
    bar.stop();
  }
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
