import { copyRows } from '@cinegraph/subgraph/import/copy';
import { isConflict } from '@cinegraph/database/store-errors';
import { StartError } from '@cinegraph/service/start-error';
import type { ImportContext, ImportReport, ImportTables } from '@cinegraph/subgraph/import/run-import';
import type pg from 'pg';
import { createAggregates, lockAggregates, mergeChangedRatings } from '../merge.js';
import { readHandover } from './handover.js';

/** A rating of a file: `score` null takes it back. `eventTime` is when it was given, where the file says. */
export interface StagedRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
  readonly eventTime: Date | null;
}

/** How many ratings a chunk of the merge has at most, about: a voter waits for no more than one chunk. */
export const mergeChunkSize = 5_000;

/**
 * Opens rating's tables for a file of any size: `write` stages by COPY, `finish` merges what is staged, in chunks of movies
 * in ascending order, each chunk one transaction that locks as a mutation does. A movie is whole in one chunk, unless it
 * has more ratings than a voter should wait for: then it has chunks of its own. Of one viewer and movie the latest event
 * wins, then the later line. Killed at any moment, a second run ends with the same tables, and merges on where the first
 * stood if that had read the same source whole.
 */
export const openStagedTables =
  (source: string) =>
  async (pool: pg.Pool, context: ImportContext): Promise<ImportTables<StagedRating>> => {
    const client = await pool.connect();
    const close = async () => client.release(true);
    try {
      await prepare(client);
    } catch (error) {
      await close();
      throw error;
    }
    const handover = await readHandover(client, context.folder);
    const movieIdOf = ({ movieId }: StagedRating) => handover?.aliases.get(movieId) ?? movieId;
    let run: Run = { source, identity: undefined, startedAt: new Date(), mergedThrough: start };
    let line = 0;
    let copied: Promise<void> = Promise.resolve();
    return {
      isEmpty: async () => (await client.query('SELECT FROM rating LIMIT 1')).rowCount === 0,
      begin: async (identity) => {
        const unfinished = await findRun(client);
        run = { source, identity, startedAt: new Date(), mergedThrough: start };
        if (
          unfinished?.identity != null &&
          unfinished.identity === identity &&
          unfinished.source === source
        ) {
          run = unfinished;
          return { read: unfinished.read, refusedCount: unfinished.refused };
        }
        await client.query('TRUNCATE staged_rating, import_run');
        await client.query('DROP INDEX IF EXISTS staged_rating_in_order');
        return undefined;
      },
      write: async (chunk) => {
        const rows = chunk.map(({ item }) => {
          line += 1;
          return [line, movieIdOf(item), item.viewerId, item.score, item.eventTime?.toISOString() ?? null];
        });
        // While the database takes one chunk, the next is read.
        await copied;
        copied = copyRows(client, 'staged_rating', stagedColumns, rows);
        copied.catch(() => undefined);
        return { written: 0, unchanged: 0 };
      },
      finish: async (report, stage) => {
        await copied;
        await noteRun(client, run, report);
        await mergeStaged(client, run, stage);
        const done = await findRun(client);
        const counts = await client.query<Counts>(handover ? countsWithUnknown : countsOnly);
        const { staged, unknown, movies } = counts.rows[0] ?? { staged: 0, unknown: 0, movies: 0 };
        report.written = done?.written ?? 0;
        report.unchanged = staged - report.written;
        const superseded = staged - (done?.merged ?? 0);
        if (superseded > 0)
          report.notes.push(
            `${superseded} of the unchanged gave way to another of the same viewer and movie`,
          );
        if (unknown > 0)
          report.notes.push(`${unknown} ratings of ${movies} movies that metadata does not know are kept`);
        if (!handover)
          report.notes.push('which movies there are was not told: start imports by npm run import');
        await client.query('TRUNCATE staged_rating, import_run');
        if (report.written > 0) await client.query('ANALYZE rating, aggregated_rating');
      },
      close: async () => {
        await copied.catch(() => undefined);
        await close();
      },
    };
  };

const stagedColumns = ['line', 'movie_id', 'viewer_id', 'score', 'event_time'];

interface Run {
  readonly source: string;
  readonly identity: string | undefined;
  readonly startedAt: Date;
  readonly mergedThrough: Place;
}

/** A movie and a viewer, in whose order the merge goes; the viewer '' stands before all others of the movie. */
type Place = readonly [movieId: string, viewerId: string];

const start: Place = ['', ''];

/** Numbers of PostgreSQL's bigint as text, cast to double: exact up to 2^53. */
interface Counts {
  readonly staged: number;
  readonly unknown: number;
  readonly movies: number;
}

const countsOnly = `
  SELECT count(*)::float8 AS staged, 0::float8 AS unknown, 0::float8 AS movies FROM staged_rating`;

const countsWithUnknown = `
  SELECT coalesce(sum(ratings), 0)::float8 AS staged,
    coalesce(sum(ratings) FILTER (WHERE known.id IS NULL), 0)::float8 AS unknown,
    count(*) FILTER (WHERE known.id IS NULL)::float8 AS movies
  FROM (SELECT movie_id, count(*) AS ratings FROM staged_rating GROUP BY movie_id) AS movie
  LEFT JOIN known_movie AS known ON known.id = movie.movie_id`;

/** Any number that only imports of files into rating lock, for as long as their connection lives. */
const importLock = 4_203_002;

const prepare = async (client: pg.PoolClient): Promise<void> => {
  // Indexing what is staged takes as long as it takes; voters wait for none of it.
  await client.query("SET statement_timeout = 0; SET jit = off; SET lock_timeout = '20s'");
  try {
    await client.query('SELECT pg_advisory_lock($1)', [importLock]);
  } catch (error) {
    if ((error as { code?: unknown }).code !== '55P03') throw error;
    throw new StartError('Another import writes ratings at the moment. Wait for its end.', { cause: error });
  }
};

const findRun = async (client: pg.PoolClient) => {
  const { rows } = await client.query<
    Run & { read: number; refused: number; written: number; merged: number }
  >(`
    SELECT source, identity, started_at AS "startedAt", ARRAY[merged_through, merged_through_viewer] AS "mergedThrough",
      read::float8, refused::float8, written::float8, merged::float8
    FROM import_run`);
  return rows[0];
};

/** From here on the source is not needed any more. */
const noteRun = async (client: pg.PoolClient, run: Run, report: ImportReport): Promise<void> => {
  await client.query(
    `INSERT INTO import_run (source, identity, started_at, read, refused) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING`,
    [run.source, run.identity ?? null, run.startedAt, report.read, report.refusedCount],
  );
  await client.query(
    'CREATE INDEX IF NOT EXISTS staged_rating_in_order ON staged_rating (movie_id COLLATE "C", viewer_id COLLATE "C")',
  );
  await client.query('ANALYZE staged_rating');
};

const mergeStaged = async (
  client: pg.PoolClient,
  run: Run,
  stage: (what: string, total: number) => { update(value: number, count: number): void; stop(): void },
): Promise<void> => {
  const { rows } = await client.query<{ ratings: number }>(
    `SELECT count(*)::float8 AS ratings FROM staged_rating WHERE ${isBehind}`,
    [run.mergedThrough],
  );
  const bar = stage(`${run.source}, merging`, rows[0]?.ratings ?? 0);
  try {
    let after = run.mergedThrough;
    let merged = 0;
    for (let last = await endOfChunk(client, after); last; last = await endOfChunk(client, after)) {
      merged += await mergeChunk(client, { after, last, startedAt: run.startedAt });
      after = last;
      bar.update(merged, merged);
    }
  } finally {
    bar.stop();
  }
};

const place = '(movie_id COLLATE "C", viewer_id COLLATE "C")';
const isBehind = `${place} > (($1::text[])[1], ($1::text[])[2])`;
const inChunk = `${isBehind} AND ${place} <= (($2::text[])[1], ($2::text[])[2])`;

/** Where the chunk behind a place ends: before the movie that would not fit in whole, or within one that fits in none. */
const endOfChunk = async (client: pg.PoolClient, after: Place): Promise<Place | undefined> => {
  const { rows } = await client.query<{ first: string; beyond: Place | null; last: Place }>(chunkEnds, [
    after,
    mergeChunkSize,
  ]);
  const [found] = rows;
  if (!found) return undefined;
  const { first, beyond, last } = found;
  if (!beyond) return last;
  return beyond[0] === first ? beyond : [beyond[0], ''];
};

const chunkEnds = `
  SELECT first.movie_id AS first, last.place AS last, beyond.place AS beyond
  FROM (SELECT movie_id FROM staged_rating WHERE ${isBehind}
      ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C" LIMIT 1) AS first
    CROSS JOIN (SELECT ARRAY[movie_id, viewer_id] AS place FROM staged_rating
      ORDER BY movie_id COLLATE "C" DESC, viewer_id COLLATE "C" DESC LIMIT 1) AS last
    LEFT JOIN (SELECT ARRAY[movie_id, viewer_id] AS place FROM staged_rating WHERE ${isBehind}
      ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C" OFFSET $2 LIMIT 1) AS beyond ON true`;

const stagedSource = `
  SELECT DISTINCT ON (movie_id COLLATE "C", viewer_id COLLATE "C") movie_id, viewer_id, score, NULL::text AS review, 'import' AS origin,
    NULL::bigint AS rating_version, event_time, NULL::integer AS event_partition, NULL::bigint AS event_offset,
    coalesce(event_time, $3::timestamptz) AS written_at, NULL::text AS trace
  FROM staged_rating WHERE ${inChunk}
  ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C", event_time DESC NULLS LAST, line DESC`;

const mergeChunk = async (
  client: pg.PoolClient,
  chunk: { readonly after: Place; readonly last: Place; readonly startedAt: Date },
  attempts = 5,
): Promise<number> => {
  const { after, last, startedAt } = chunk;
  try {
    await client.query('BEGIN');
    // While a table grows the planner knows less of it than there is, and would read all of it for each chunk.
    await client.query('SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off');
    const { rows } = await client.query<{ id: string; ratings: number }>(
      `SELECT movie_id AS id, count(*)::int AS ratings FROM staged_rating WHERE ${inChunk} GROUP BY movie_id`,
      [after, last],
    );
    const ids = rows.map(({ id }) => id);
    await client.query(createAggregates, [ids]);
    await client.query(lockAggregates, [ids]);
    const result = await client.query<{ written: number; merged: number }>(
      mergeChangedRatings(stagedSource),
      [after, last, startedAt],
    );
    const { written = 0, merged = 0 } = result.rows[0] ?? {};
    // In the same transaction: a chunk is merged and counted, or neither.
    await client.query(
      `UPDATE import_run
       SET merged_through = $1, merged_through_viewer = $2, written = written + $3, merged = merged + $4`,
      [...last, written, merged],
    );
    await client.query('COMMIT');
    return rows.reduce((sum, { ratings }) => sum + ratings, 0);
  } catch (error) {
    await client.query('ROLLBACK');
    if (attempts <= 1 || !isConflict(error)) throw error;
    return mergeChunk(client, chunk, attempts - 1);
  }
};
