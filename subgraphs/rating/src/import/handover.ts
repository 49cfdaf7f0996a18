import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { handoverFile } from '@cinegraph/subgraph/import/run-import';
import { readLines } from '@cinegraph/subgraph/import/lines';
import type pg from 'pg';
import { z } from 'zod';
import { putKnownMovies } from '../known-movies.js';

/** What metadata's importer left for ours: a movie as it stands there, or another name that a source has for it. */
const entrySchema = z.union([
  z.object({ movie: z.string(), version: z.int(), deleted: z.boolean() }),
  z.object({ alias: z.string(), movie: z.string() }),
]);

/**
 * Takes over what metadata knows of the movies: each becomes a known movie here, unless a later state of it is known, and
 * the other names of movies are answered. Undefined when no importer of metadata ran before this one.
 */
export const readHandover = async (
  client: pg.ClientBase,
  folder: string | undefined,
): Promise<{ readonly aliases: ReadonlyMap<string, string> } | undefined> => {
  const path = join(folder ?? '', handoverFile);
  if (
    folder === undefined ||
    !(await access(path).then(
      () => true,
      () => false,
    ))
  )
    return undefined;
  const aliases = new Map<string, string>();
  for await (const lines of readLines(createReadStream(path))) {
    const known: unknown[] = [];
    for (const { text } of lines) {
      const entry = entrySchema.parse(JSON.parse(text));
      if ('alias' in entry) aliases.set(entry.alias, entry.movie);
      else known.push(entry);
    }
    if (known.length > 0) await client.query(putKnownMovies, [JSON.stringify(known)]);
  }
  return { aliases };
};
