import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { ratingWorld } from './world.js';

/** A subgraph for the tests of one file, and a folder for each test. Tables are empty after each test. */
export interface ImportWorld {
  readonly world: Awaited<ReturnType<typeof ratingWorld>>;
  readonly folder: string;
}

/** Starts and stops an import world with the tests of this file, and returns a function that gets it. */
export const useImportWorld = (): (() => ImportWorld) => {
  let world: ImportWorld['world'];
  let folder: string;
  beforeAll(async () => {
    world = await ratingWorld();
  });
  afterAll(() => world.subgraph.stop());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'import-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
    await world.clear();
  });
  return () => ({ world, folder });
};

/** Writes a file into the folder of the test, and returns its path. */
export const put = async ({ folder }: ImportWorld, name: string, content: string | Buffer) => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

/** Returns movie, viewer and score of every rating. */
export const ratingsIn = async ({ world }: ImportWorld) => {
  const { rows } = await world.subgraph.pool.query<{ text: string }>(
    `SELECT movie_id || ' ' || viewer_id || ' ' || coalesce(score::text, '-') AS text FROM rating ORDER BY 1`,
  );
  return rows.map(({ text }) => text);
};

/**
 * Returns a hash of every row and its physical location, so that a row which is rewritten unchanged differs.
 */
export const contentsOf = async ({ world }: ImportWorld) => {
  const hash = createHash('sha256');
  for (const table of ['rating', 'aggregated_rating', 'known_movie', 'staged_rating', 'import_run']) {
    const { rows } = await world.subgraph.pool.query<{ text: string }>(
      `SELECT t.ctid::text || t::text AS text FROM ${table} t ORDER BY t.ctid`,
    );
    hash.update(`${table} ${rows.map(({ text }) => text).join('\n')}`);
  }
  return hash.digest('hex');
};
