import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { migrations as metadataMigrations } from '@cinegraph/metadata/migrations';
import { migrations as ratingMigrations } from '@cinegraph/rating/migrations';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';

const root = fileURLToPath(new URL('../../', import.meta.url));
const data = join(root, '..', 'shared', 'data', 'ml-latest-small');

type Pool = ReturnType<typeof testPool>;

/** The databases of both subgraphs, and their importers as processes like those of the command line. */
interface World {
  readonly rating: Pool;
  readonly metadata: Pool;
  readonly run: (subgraph: 'metadata' | 'rating', ...args: string[]) => Run;
  readonly close: () => Promise<void>;
}

interface Run {
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
  readonly kill: () => void;
}

const startWorld = async (): Promise<World> => {
  const folder = await mkdtemp(join(tmpdir(), 'imports-'));
  const databases: Record<'metadata' | 'rating', TestDatabase> = {
    metadata: await testDatabase({ name: 'metadata', migrations: metadataMigrations }),
    rating: await testDatabase({ name: 'rating', migrations: ratingMigrations }),
  };
  const pools = { metadata: testPool(databases.metadata.url), rating: testPool(databases.rating.url) };
  return {
    ...pools,
    run: (subgraph, source, ...args) => {
      const script = join(root, 'subgraphs', subgraph, 'dist', 'import', `${source}.js`);
      const child = spawn(process.execPath, [script, ...args], {
        env: {
          PATH: process.env['PATH'],
          IMPORT_FOLDER: folder,
          [`DATABASE_URL_${subgraph.toUpperCase()}`]: databases[subgraph].url,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => (output += text));
      }
      return {
        ended: once(child, 'close').then(([code]) => ({ code: code as number | null, output })),
        kill: () => child.kill('SIGKILL'),
      };
    },
    close: async () => {
      for (const name of ['metadata', 'rating'] as const) {
        await pools[name].end();
        await databases[name].drop();
      }
      await rm(folder, { recursive: true });
    },
  };
};

/** Returns all rows of rating's tables as text. */
const contents = async ({ rating }: World): Promise<Record<string, string[]>> => {
  const all: Record<string, string[]> = {};
  for (const table of ['rating', 'aggregated_rating', 'known_movie', 'staged_rating', 'import_run']) {
    const { rows } = await rating.query<{ text: string }>(
      `SELECT t::text AS text FROM ${table} t ORDER BY 1`,
    );
    all[table] = rows.map(({ text }) => text);
  }
  return all;
};

const placesOf = async (pool: Pool, tables: readonly string[]) => {
  const all: unknown[] = [];
  for (const table of tables) {
    const { rows } = await pool.query(
      `SELECT md5(string_agg(t.ctid::text || t::text, '' ORDER BY t.ctid)) AS hash FROM ${table} t`,
    );
    all.push(rows);
  }
  return all;
};

const summary = ({ output }: { output: string }) => output.split('\n')[0];

let worlds: World[] = [];
const newWorld = async () => {
  const world = await startWorld();
  worlds.push(world);
  return world;
};
beforeEach(() => {
  worlds = [];
});
afterEach(async () => {
  for (const world of worlds) await world.close();
});

// ../shared/data is not part of the clone. Without it there is nothing to import.
const present = existsSync(join(data, 'ratings.csv'));
if (!present) process.stderr.write(`There is no ${data}: the import of real MovieLens data is not tested.\n`);
const describeData = present ? describe : describe.skip;

const timeLimitMs = 300_000;

describeData('the import of MovieLens', () => {
  it(
    'an import stores every movie and rating exactly, and a second run changes nothing',
    async () => {
      const world = await newWorld();
      const movies = await world.run('metadata', 'movielens', data).ended;
      expect(summary(movies)).toBe(
        'metadata: movielens: movies read 9125, written 9125, unchanged 0, refused 0',
      );
      const ratings = await world.run('rating', 'movielens', data).ended;
      expect(ratings.output).toBe(
        'rating: movielens: ratings read 100004, written 100004, unchanged 0, refused 0\n',
      );

      const counted = new Map<string, { sum: number; count: number }>();
      for (const line of (await readFile(join(data, 'ratings.csv'), 'utf8')).trim().split(/\r?\n/).slice(1)) {
        const [, movie = '', stars = ''] = line.split(',');
        const { sum, count } = counted.get(movie) ?? { sum: 0, count: 0 };
        counted.set(movie, { sum: sum + Number(stars) * 2, count: count + 1 });
      }
      const { rows } = await world.rating.query<{ id: string; sum: number; count: number }>(
        `SELECT replace(movie_id, 'movielens:', '') AS id, sum::int, count::int
         FROM aggregated_rating WHERE count > 0`,
      );
      expect(rows).toHaveLength(9_066);
      expect(new Map(rows.map(({ id, sum, count }) => [id, { sum, count }]))).toEqual(counted);
      const mean =
        rows.reduce((all, { sum }) => all + sum, 0) / rows.reduce((all, { count }) => all + count, 0);
      expect((mean / 2).toFixed(5)).toBe('3.54361');

      const before = [
        await placesOf(world.rating, ['rating', 'aggregated_rating', 'known_movie']),
        await placesOf(world.metadata, ['movie', 'genre', 'movie_genre', 'external_id', 'source_record']),
      ];
      expect(summary(await world.run('metadata', 'movielens', data).ended)).toMatch(
        /written 0, unchanged 9125/,
      );
      expect(summary(await world.run('rating', 'movielens', data).ended)).toMatch(
        /written 0, unchanged 100004/,
      );
      expect([
        await placesOf(world.rating, ['rating', 'aggregated_rating', 'known_movie']),
        await placesOf(world.metadata, ['movie', 'genre', 'movie_genre', 'external_id', 'source_record']),
      ]).toEqual(before);
    },
    timeLimitMs,
  );

  it.each([
    ['reads', `SELECT 1 FROM staged_rating LIMIT 1`, /written 100004, unchanged 0/],
    ['merges', `SELECT 1 FROM import_run WHERE merged > 20000`, /written 100004, unchanged 0/],
  ])(
    'an import that is killed while it %s, and run again, gives the same tables as one that was not killed',
    async (_stage, begun, report) => {
      const clean = await newWorld();
      await clean.run('rating', 'movielens', data).ended;
      const world = await newWorld();
      const run = world.run('rating', 'movielens', data);
      // Rows of COPY are visible once it is committed.
      await until(async () => (await world.rating.query(begun)).rowCount === 1);
      run.kill();
      expect(await run.ended).toMatchObject({ code: null });
      const { rows } = await world.rating.query<{ count: number }>('SELECT count(*)::int FROM rating');
      expect(rows[0]?.count).toBeLessThan(100_004);

      const again = await world.run('rating', 'movielens', data).ended;
      expect(again.code).toBe(0);
      expect(summary(again)).toMatch(report);
      const merged = begun.includes('FROM import_run');
      expect(again.output.includes('an earlier run had read the source')).toBe(merged);
      expect(await contents(world)).toEqual(await contents(clean));
    },
    timeLimitMs,
  );
});
