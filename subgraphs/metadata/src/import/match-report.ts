import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImportReport } from '@cinegraph/subgraph/import/report';
import type pg from 'pg';
import type { AdoptedChunk, AmbiguousFilm } from './adopt.js';
import { findTwice } from './twice.js';

/** Collects how the films of an import were matched. */
export interface MatchReport {
  add(chunk: AdoptedChunk, added: number): void;
  /** Adds the numbers to the report, and lists the ambiguous films in a file of the folder. */
  finish(report: ImportReport): Promise<void>;
}

/** How many ambiguous films the report shows; the file has all of them. */
const maxShown = 3;

/** Opens the report of matches. Without a folder there is no file. */
export const openMatchReport = (pool: pg.Pool, source: string, folder: string | undefined): MatchReport => {
  const ambiguous: AmbiguousFilm[] = [];
  let [matched, created, doubles] = [0, 0, 0];
  const path = folder && join(folder, `${source}-metadata-ambiguous.jsonl`);
  const list = async (notes: string[]) => {
    if (path === undefined || folder === undefined) return;
    // The file of an earlier run would be taken for one of this run.
    if (ambiguous.length === 0) return rm(path, { force: true });
    await mkdir(folder, { recursive: true });
    await writeFile(path, ambiguous.map((film) => `${JSON.stringify(film)}\n`).join(''), { mode: 0o600 });
    notes.push(`the ambiguous are listed in ${path}`);
  };
  return {
    add: (chunk, added) => {
      matched += chunk.matched;
      created += added;
      doubles += chunk.doubles.length;
      ambiguous.push(...chunk.ambiguous);
    },
    finish: async ({ read, notes }) => {
      if (read === 0) return;
      notes.push(
        `${matched} matched with films of other sources, ${created} new, ${ambiguous.length} ambiguous`,
      );
      for (const { record, title, year, candidates } of ambiguous.slice(0, maxShown)) {
        notes.push(
          `ambiguous, so left apart: ${record}, ${title} (${year}), may be ${candidates.join(' or ')}`,
        );
      }
      if (doubles > 0)
        notes.push(`${doubles} films that were added before stand twice, and stay as they are`);
      await list(notes);
      const twice = (await findTwice(pool)).length;
      if (twice > 0)
        notes.push(`${twice} pairs of movies may be one film each: npm run movies -- twice lists them`);
    },
  };
};
