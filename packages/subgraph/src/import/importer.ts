import type pg from 'pg';
import type { Progress } from './progress.js';
import type { MigrationSet } from '@cinegraph/database/migrate';
import type { ImportReport } from './report.js';

/** An outside source, and how its records get into the tables of one subgraph. */
export interface Importer<Item> {
  readonly subgraph: string;
  readonly source: string;
  readonly migrations: readonly MigrationSet[];
  /** The plural noun for the records in the report. */
  readonly items: string;
  /** Names of options with a value, e.g. `scale` for `--scale 5`. */
  readonly options?: readonly string[];
  /** Opens the source. Its records come in order and are read as they are requested. */
  read(args: readonly string[], context: ImportContext): Promise<OpenedSource<Item>>;
  open(pool: pg.Pool, context: ImportContext): ImportTables<Item> | Promise<ImportTables<Item>>;
  /**
   * Returns what the importers of other subgraphs that follow in this run need: the lines of `handoverFile`.
   */
  handOver?(pool: pg.Pool): AsyncIterable<object>;
  readonly chunkSize?: number;
}

/** The file in the folder of a run in which an importer leaves data for the importers of other subgraphs. */
export const handoverFile = 'handover.jsonl';

/** What every importer of a run is given. */
export interface ImportContext {
  /** The values of the importer's own options. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** The folder for the hand-over file and the lists of refused records; undefined outside a run. */
  readonly folder: string | undefined;
}

/** A source that was opened. */
export interface OpenedSource<Item> {
  /** The size in records, or in the unit of `position`; undefined if it is unknown. */
  readonly total?: number | undefined;
  readonly position?: () => number;
  /**
   * Equal for equal content: a run that was killed after it had read the whole source does not read it again.
   */
  readonly fingerprint?: string | undefined;
  readonly records: Iterable<SourceRecord<Item>> | AsyncIterable<SourceRecord<Item>>;
}

/**
 * One record of a source: its item, or the reason why it is refused. `record` is its position in the source,
 * e.g. `line 7`. `text` is its beginning, for the list of refused records. `leftOut` has the names of fields
 * whose values were not usable, and without which the item is imported.
 */
export type SourceRecord<Item> =
  | { readonly record: string; readonly item: Item; readonly leftOut?: readonly string[] }
  | { readonly record: string; readonly refused: string; readonly text?: string };

/** The tables of one subgraph while an import writes into them. */
export interface ImportTables<Item> {
  /** Returns whether there are no rows yet. */
  isEmpty(): Promise<boolean>;
  /**
   * Begins the import. If an earlier run was killed after it had read the whole source with this fingerprint,
   * it returns the counts of that run, and the source is not read again.
   */
  begin?(fingerprint: string | undefined): Promise<{ read: number; refusedCount: number } | undefined>;
  /**
   * Returns the records after it has looked at all of them. Without it, they are written as they are read.
   */
  prepare?(records: OpenedSource<Item>['records']): OpenedSource<Item>['records'];
  /** Writes one chunk in one transaction. */
  write(items: readonly { readonly record: string; readonly item: Item }[]): Promise<ChunkResult>;
  /** Does the work that needs the whole source, e.g. merges what `write` has staged. Completes the report. */
  finish?(report: ImportReport, stage: (what: string, total: number) => Progress): Promise<void>;
  close(): Promise<void>;
}

/** What a chunk changed in the tables. */
export interface ChunkResult {
  readonly written: number;
  readonly unchanged: number;
  /** Items that can be refused only by comparing them with the tables. */
  readonly refused?: readonly { readonly record: string; readonly reason: string }[];
}
