import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { movieHandoverEntry, type MovieHandoverEntry } from '@cinegraph/events/movie-handover';
import { handoverFile } from '@cinegraph/subgraph/import/importer';
import { readLines } from '@cinegraph/subgraph/import/lines';
import type pg from 'pg';
import { putKnownMovies } from '../sql/known-movies.js';

/**
 * Reads the movies that metadata's importer handed over in this run. Stores each of them as a known movie,
 * unless a later state is stored, and returns the aliases of movies. Returns undefined if no importer of
 * metadata ran before this one.
 */
export const readHandover = async (
  pool: pg.Pool,
  folder: string | undefined,
): Promise<{ readonly aliases: ReadonlyMap<string, string> } | undefined> => {
  if (folder === undefined) return undefined;
  const path = join(folder, handoverFile);
  if (!(await exists(path))) return undefined;
  const aliases = new Map<string, string>();
  for await (const lines of readLines(createReadStream(path))) {
    const known: MovieHandoverEntry[] = [];
    for (const { text } of lines) {
      const entry = movieHandoverEntry.parse(JSON.parse(text));
      if ('alias' in entry) aliases.set(entry.alias, entry.movie);
      else known.push(entry);
    }
    if (known.length > 0) await pool.query(putKnownMovies, [JSON.stringify(known)]);
  }
  return { aliases };
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
