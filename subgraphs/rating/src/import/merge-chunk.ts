import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { rawTransaction } from '@cinegraph/database/transaction';
import type pg from 'pg';
import { lockRatedMovies } from '../joined-movies.js';
import { createAggregates, mergeChangedRatings } from '../sql/merge.js';

/** The key in whose order ratings are merged. The viewer '' sorts before all others of the movie. */
export type SortKey = readonly [movieId: string, viewerId: string];

const sortKey = '(movie_id COLLATE "C", viewer_id COLLATE "C")';

/** The condition that a staged rating comes after the key $1. */
export const isAfter = `${sortKey} > (($1::text[])[1], ($1::text[])[2])`;
const inChunk = `${isAfter} AND ${sortKey} <= (($2::text[])[1], ($2::text[])[2])`;

/** How often a chunk is merged at most if it keeps losing deadlocks. */
const mergeAttempts = 5;

/**
 * Returns the source of a chunk. `from` has its staged ratings, under the movies that their votes belong to.
 * If a viewer rated two movies that are joined now, the latest counts.
 */
const sourceOf = (from: string): string => `
  SELECT DISTINCT ON (movie_id COLLATE "C", viewer_id COLLATE "C") movie_id, viewer_id, given_for, score, NULL::text AS review, 'import' AS origin, provider,
    NULL::bigint AS rating_version, event_time, NULL::integer AS event_partition, NULL::bigint AS event_offset,
    coalesce(event_time, $3::timestamptz) AS written_at, NULL::text AS trace
  FROM ${from}
  ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C", event_time DESC NULLS LAST, line DESC`;

const mergeStagedChunk = mergeChangedRatings(
  sourceOf(`(SELECT *, NULL::text AS given_for FROM staged_rating WHERE ${inChunk}) AS staged`),
);

/**
 * The same for a chunk with joined movies: $4 is a JSON object from each to the movie that it is joined into.
 */
const mergeJoinedChunk = mergeChangedRatings(
  sourceOf(`(
    SELECT line, coalesce($4::jsonb ->> movie_id, movie_id) AS movie_id, viewer_id, score, event_time, provider,
      CASE WHEN $4::jsonb ? movie_id THEN movie_id END AS given_for
    FROM staged_rating WHERE ${inChunk}) AS staged`),
);

/** Merges one chunk in one transaction, and returns how many staged ratings it had. */
export const mergeChunk = (
  client: pg.PoolClient,
  { after, last, startedAt }: { readonly after: SortKey; readonly last: SortKey; readonly startedAt: Date },
): Promise<number> =>
  retryOnConflict(
    async () => {
      try {
        await client.query('BEGIN');
        // While a table grows, the planner underestimates it and would scan all of it for each chunk.
        await client.query('SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off');
        const { rows } = await client.query<{ id: string; ratings: number }>(
          `SELECT movie_id AS id, count(*)::int AS ratings FROM staged_rating WHERE ${inChunk} GROUP BY movie_id`,
          [after, last],
        );
        const ids = rows.map(({ id }) => id);
        await client.query(createAggregates, [ids]);
        const movies = await lockRatedMovies(rawTransaction(client), ids, async () => {
          const found = await client.query<{ viewer_id: string }>(
            `SELECT DISTINCT viewer_id FROM staged_rating WHERE ${inChunk}`,
            [after, last],
          );
          return found.rows.map(({ viewer_id }) => viewer_id);
        });
        const joined = ids
          .map((id) => [id, movies.keptIdOf(id)] as const)
          .filter(([id, kept]) => id !== kept);
        const parameters: unknown[] = [after, last, startedAt];
        if (joined.length > 0) parameters.push(JSON.stringify(Object.fromEntries(joined)));
        const result = await client.query<{ written: number; merged: number }>(
          (joined.length > 0 ? mergeJoinedChunk : mergeStagedChunk)[movies.form],
          parameters,
        );
        const { written = 0, merged = 0 } = result.rows[0] ?? {};
        // In the same transaction, so that a chunk is both merged and counted, or neither.
        await client.query(
          `UPDATE import_run
           SET merged_through = $1, merged_through_viewer = $2, written = written + $3, merged = merged + $4`,
          [...last, written, merged],
        );
        await client.query('COMMIT');
        return rows.reduce((sum, { ratings }) => sum + ratings, 0);
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      }
    },
    { attempts: mergeAttempts },
  );
