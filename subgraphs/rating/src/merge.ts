import type { AggregatedRatingModel } from './models.js';

/**
 * There is one way to count a rating: the statements of this file, in one transaction, in this order. Source rows have
 * the columns (movie_id, viewer_id, score, review, origin, event_time, written_at), one row a viewer and movie; a null score
 * retracts; event_time is that of the outside event that says so, if any.
 */

/** Ratings handed in as the JSON array $1 of objects with the columns' names. */
export const jsonSource = `
  SELECT movie_id, viewer_id, score, review, origin, NULL::timestamptz AS event_time, written_at
  FROM jsonb_to_recordset($1::jsonb) AS source
    (movie_id text, viewer_id text, score smallint, review text, origin text, written_at timestamptz)`;

/**
 * First: every movie of $1 (text[]) gets its aggregate row. Ordered, so that two batches that create the same
 * movies wait for each other instead of deadlocking.
 */
export const createAggregates = `
  INSERT INTO aggregated_rating (movie_id)
  SELECT id FROM unnest($1::text[]) AS wanted (id) ORDER BY id COLLATE "C"
  ON CONFLICT (movie_id) DO NOTHING`;

/**
 * Second: the aggregate rows of $1 (text[]) are locked in id order, which makes every batch with a movie in common
 * wait here. Behind the lock the old scores that the merge reads are the committed ones: read without it, two first
 * votes of one viewer would both see none and count twice.
 */
export const lockAggregates = `
  SELECT aggregate.movie_id, coalesce(known.deleted, false) AS deleted
  FROM aggregated_rating AS aggregate LEFT JOIN known_movie AS known ON known.id = aggregate.movie_id
  WHERE aggregate.movie_id = ANY ($1::text[])
  ORDER BY aggregate.movie_id COLLATE "C"
  FOR UPDATE OF aggregate`;

const scores = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const;

/** The columns that count the votes of each score: s1 to s10. */
export const scoreColumns = scores.map((score) => `s${score}` as const);

/** Counts the rows of each score, under the names of `scoreColumns`. */
export const scoreCounts = (column: string): string =>
  scores.map((score) => `count(*) FILTER (WHERE ${column} = ${score}) AS s${score}`).join(', ');

/** Third, the one set-based write: ratings replaced, aggregates moved by exactly the difference. */
const merge = (source: string, condition: string) => `
  WITH source AS (${source}),
  incoming AS (
    SELECT source.*, present.score AS old_score, present.movie_id IS NOT NULL AS existed
    FROM source LEFT JOIN rating AS present USING (movie_id, viewer_id)
    WHERE ${condition}
  ),
  written AS (
    INSERT INTO rating AS present (movie_id, viewer_id, score, review, origin, event_time, created_at, updated_at)
    SELECT movie_id, viewer_id, score, review, origin, event_time, written_at, written_at
    FROM incoming ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C"
    ON CONFLICT (movie_id, viewer_id) DO UPDATE SET
      score = excluded.score, review = excluded.review, origin = excluded.origin, event_time = excluded.event_time,
      version = present.version + 1, updated_at = excluded.updated_at,
      created_at = CASE WHEN present.score IS NULL THEN excluded.created_at ELSE present.created_at END
    RETURNING movie_id, viewer_id, score, review, version, created_at, updated_at
  ),
  difference AS (
    SELECT movie_id,
      coalesce(sum(score), 0) - coalesce(sum(old_score), 0) AS sum,
      count(score) - count(old_score) AS count,
      ${scores
        .map(
          (n) => `count(*) FILTER (WHERE score = ${n}) - count(*) FILTER (WHERE old_score = ${n}) AS s${n}`,
        )
        .join(',\n      ')}
    FROM incoming GROUP BY movie_id
  ),
  moved AS (
    UPDATE aggregated_rating AS aggregate SET
      sum = aggregate.sum + difference.sum,
      count = aggregate.count + difference.count,
      ${scoreColumns.map((s) => `${s} = aggregate.${s} + difference.${s}`).join(', ')},
      version = aggregate.version + 1
    FROM difference WHERE aggregate.movie_id = difference.movie_id
    RETURNING aggregate.*
  )`;

/**
 * Merges the source and answers a row for each rating written: the rating, its old score, and the movie's new aggregate,
 * which is all that an event needs. Retracting what is not there writes nothing and has no row.
 */
export const mergeRatings = (source: string): string => `${merge(
  source,
  'source.score IS NOT NULL OR present.score IS NOT NULL',
)}
  SELECT written.movie_id AS "movieId", written.viewer_id AS "viewerId", written.score, written.review,
    written.version, written.created_at AS "createdAt", written.updated_at AS "updatedAt",
    incoming.old_score AS "oldScore", moved.version AS "aggregateVersion",
    moved.sum, moved.count, ${scoreColumns.map((s) => `moved.${s}`).join(', ')}
  FROM written JOIN incoming USING (movie_id, viewer_id) JOIN moved USING (movie_id)`;

/**
 * Merges the source as an import does: only what differs in score from what is stored, or is of a later event, is written,
 * so that a second run writes nothing; what is of an earlier event than the stored one is left out, so that files may come
 * in any order. Answers one row with the numbers of ratings written and looked at.
 */
export const mergeChangedRatings = (source: string): string => `${merge(
  source,
  `(source.score IS DISTINCT FROM present.score OR source.event_time > present.event_time)
      AND (source.event_time < present.event_time) IS NOT TRUE`,
)}
  SELECT (SELECT count(*) FROM written)::int AS written, (SELECT count(*) FROM source)::int AS merged,
    (SELECT count(*) FROM moved)::int AS movies`;

/** The columns of an aggregate as drivers hand them over: bigint as text or as BigInt. */
export type AggregateRow = Readonly<Record<'sum' | 'count' | (typeof scoreColumns)[number], string | bigint>>;

/** An aggregate row as a model; exact up to 2^53 votes. */
export const toAggregatedRating = (row: AggregateRow): AggregatedRatingModel => ({
  sum: Number(row.sum),
  count: Number(row.count),
  histogram: scoreColumns.map((column) => Number(row[column])),
});
