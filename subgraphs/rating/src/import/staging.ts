import { copyRows } from '@cinegraph/subgraph/import/copy';
import { StartError } from '@cinegraph/service/start-error';
import type { ImportContext, ImportTables } from '@cinegraph/subgraph/import/importer';
import type { ImportReport } from '@cinegraph/subgraph/import/report';
import type pg from 'pg';
import { readHandover } from './handover.js';
import { isAfter, mergeChunk, type SortKey } from './merge-chunk.js';

/**
 * A rating of a file. A null `score` retracts it. `eventTime` is when it was given, or null if the file has
 * no times.
 */
export interface StagedRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
  readonly eventTime: Date | null;
  /** Who published the rating, if the file says so. */
  readonly provider: string | null;
}

/**
 * The approximate maximum number of ratings in a chunk of the merge. A mutation waits for at most one chunk.
 */
export const mergeChunkSize = 5_000;

/**
 * Opens the tables of rating for a file of any size. `write` stages ratings by COPY. `finish` merges them in
 * chunks, in the order of movies; each chunk is one transaction with the locks of a mutation. A movie is
 * never split over chunks, unless it has more ratings than fit into one. The latest event of a movie and
 * viewer wins, and of equal ones the later line. If a run is killed, a second one ends with the same tables.
 * If the first had read the whole source, the second continues its merge.
 */
export const openStagedTables =
  (source: string) =>
  async (pool: pg.Pool, context: ImportContext): Promise<ImportTables<StagedRating>> => {
    const client = await pool.connect();
    const close = async () => client.release(true);
    let handover: Awaited<ReturnType<typeof readHandover>>;
    try {
      await prepare(client);
      handover = await readHandover(pool, context.folder);
    } catch (error) {
      await close();
      throw error;
    }
    const aliases = handover?.aliases;
    const movieIdOf = ({ movieId }: StagedRating) => aliases?.get(movieId) ?? movieId;
    let run: Run = { source, fingerprint: undefined, startedAt: new Date(), mergedThrough: start };
    let line = 0;
    let copied: Promise<void> = Promise.resolve();
    return {
      isEmpty: async () => (await client.query('SELECT FROM rating LIMIT 1')).rowCount === 0,
      begin: async (fingerprint) => {
        const unfinished = await findRun(client);
        run = { source, fingerprint, startedAt: new Date(), mergedThrough: start };
        if (
          unfinished?.fingerprint != null &&
          unfinished.fingerprint === fingerprint &&
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
          const { viewerId, score, eventTime, provider } = item;
          return [line, movieIdOf(item), viewerId, score, eventTime?.toISOString() ?? null, provider];
        });
        // The next chunk is read while the database receives this one.
        await copied;
        copied = copyRows(client, 'staged_rating', stagedColumns, rows);
        copied.catch(() => undefined);
        return { written: 0, unchanged: 0 };
      },
      finish: async (report, stage) => {
        await copied;
        await saveRun(client, run, report);
        await mergeStaged(client, run, stage);
        const done = await findRun(client);
        const counts = await client.query<Counts>(countStaged);
        const { staged, unknown, movies } = counts.rows[0] ?? { staged: 0, unknown: 0, movies: 0 };
        report.written = done?.written ?? 0;
        report.unchanged = staged - report.written;
        const superseded = staged - (done?.merged ?? 0);
        if (superseded > 0)
          report.notes.push(
            `${superseded} of the unchanged were superseded by another of the same viewer and movie`,
          );
        if (unknown > 0)
          report.notes.push(
            `${unknown} ratings of ${movies} movies that are not known are kept, and show once their movie comes`,
          );
        if (!handover)
          report.notes.push('metadata did not hand over its movies: start imports by npm run import');
        await client.query('TRUNCATE staged_rating, import_run');
        if (report.written > 0) await client.query('ANALYZE rating, aggregated_rating');
      },
      close: async () => {
        await copied.catch(() => undefined);
        await close();
      },
    };
  };

const stagedColumns = ['line', 'movie_id', 'viewer_id', 'score', 'event_time', 'provider'];

interface Run {
  readonly source: string;
  readonly fingerprint: string | undefined;
  readonly startedAt: Date;
  /** The last rating that was merged; a run resumes after it. */
  readonly mergedThrough: SortKey;
}

const start: SortKey = ['', ''];

/**
 * Numbers that PostgreSQL casts to double precision, exact up to 2^53, because `pg` returns a bigint as
 * text.
 */
interface Counts {
  readonly staged: number;
  readonly unknown: number;
  readonly movies: number;
}

const countStaged = `
  SELECT coalesce(sum(ratings), 0)::float8 AS staged,
    coalesce(sum(ratings) FILTER (WHERE known.id IS NULL), 0)::float8 AS unknown,
    count(*) FILTER (WHERE known.id IS NULL)::float8 AS movies
  FROM (SELECT movie_id, count(*) AS ratings FROM staged_rating GROUP BY movie_id) AS movie
  LEFT JOIN known_movie AS known ON known.id = movie.movie_id`;

/** The advisory lock that an import of a file holds for its session. The number has no meaning. */
const importLock = 4_203_002;

const prepare = async (client: pg.PoolClient): Promise<void> => {
  // The index of the staged ratings may take long, and no mutation waits for it.
  await client.query("SET statement_timeout = 0; SET jit = off; SET lock_timeout = '20s'");
  try {
    await client.query('SELECT pg_advisory_lock($1)', [importLock]);
  } catch (error) {
    if ((error as { code?: unknown }).code !== '55P03') throw error;
    throw new StartError('Another import is writing ratings. Wait for its end.', { cause: error });
  }
};

const findRun = async (client: pg.PoolClient) => {
  const { rows } = await client.query<
    Run & { read: number; refused: number; written: number; merged: number }
  >(`
    SELECT source, identity AS fingerprint, started_at AS "startedAt", ARRAY[merged_through, merged_through_viewer] AS "mergedThrough",
      read::float8, refused::float8, written::float8, merged::float8
    FROM import_run`);
  return rows[0];
};

/** Records that the whole source is staged: from here on a run can resume without the source. */
const saveRun = async (client: pg.PoolClient, run: Run, report: ImportReport): Promise<void> => {
  await client.query(
    `INSERT INTO import_run (source, identity, started_at, read, refused) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING`,
    [run.source, run.fingerprint ?? null, run.startedAt, report.read, report.refusedCount],
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
    `SELECT count(*)::float8 AS ratings FROM staged_rating WHERE ${isAfter}`,
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

/**
 * Returns the last key of the chunk after `after`; undefined if nothing is left. A chunk ends before the
 * first movie that does not fit into it completely, or within a movie that does not fit into any chunk.
 */
const endOfChunk = async (client: pg.PoolClient, after: SortKey): Promise<SortKey | undefined> => {
  const { rows } = await client.query<{ first: string; beyond: SortKey | null; last: SortKey }>(chunkEnds, [
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
  SELECT first.movie_id AS first, last.key AS last, beyond.key AS beyond
  FROM (SELECT movie_id FROM staged_rating WHERE ${isAfter}
      ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C" LIMIT 1) AS first
    CROSS JOIN (SELECT ARRAY[movie_id, viewer_id] AS key FROM staged_rating
      ORDER BY movie_id COLLATE "C" DESC, viewer_id COLLATE "C" DESC LIMIT 1) AS last
    LEFT JOIN (SELECT ARRAY[movie_id, viewer_id] AS key FROM staged_rating WHERE ${isAfter}
      ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C" OFFSET $2 LIMIT 1) AS beyond ON true`;
