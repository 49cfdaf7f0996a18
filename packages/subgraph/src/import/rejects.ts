import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImportReport } from './report.js';

/** Counts refused records in the report, and lists them in a file. */
export interface Rejects {
  add(refused: { record: string; reason: string }, text?: string): void;
  /** Returns how many records are not in the file yet. */
  waiting(): number;
  flush(): Promise<void>;
  /** Writes what is waiting, closes the file and notes its path in the report. */
  close(): Promise<void>;
}

/** How many refused records the report keeps; the file has all of them. */
const maxReported = 100;

/**
 * Opens the list of refused records of an import. The file is created with the first record; `append` keeps
 * the records of an earlier run. Without a folder the records are only counted.
 */
export const openRejects = (options: {
  readonly importer: { readonly subgraph: string; readonly source: string };
  readonly report: ImportReport;
  readonly folder: string | undefined;
  readonly append: boolean;
}): Rejects => {
  const { importer, report, folder, append } = options;
  const path = folder && join(folder, `${importer.source}-${importer.subgraph}-rejects.jsonl`);
  let file: FileHandle | undefined;
  let waiting: string[] = [];
  const flush = async () => {
    const lines = waiting;
    waiting = [];
    if (folder === undefined || path === undefined || lines.length === 0) return;
    if (file === undefined) {
      await mkdir(folder, { recursive: true });
      file = await open(path, append ? 'a' : 'w', 0o600);
    }
    await file.write(lines.join(''));
  };
  return {
    add: (refused, text = '') => {
      report.refusedCount += 1;
      if (report.refused.length < maxReported) report.refused.push(refused);
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
