import { aggregatedRatingChanged, ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { bundled, insertBundles } from '@cinegraph/messaging/outbox/append';
import type { AggregatedRatingModel } from './models.js';

/**
 * There is one way to count a rating: the statements of this file, in one transaction, in this order. A source has the
 * columns of `sourceColumns`, one row a viewer and movie; a null score retracts. What an outside event says carries that
 * event's order: the rating's own version, or the broker's append time, partition and offset.
 */
const sourceColumns = {
  movie_id: 'text',
  viewer_id: 'text',
  score: 'smallint',
  review: 'text',
  origin: 'text',
  rating_version: 'bigint',
  event_time: 'timestamptz',
  event_partition: 'integer',
  event_offset: 'bigint',
  written_at: 'timestamptz',
  trace: 'text',
};

/** A row of a source that is handed in as JSON; columns that are left out are null. */
export type SourceRow = Readonly<Partial<Record<keyof typeof sourceColumns, string | number | null>>>;

/** Ratings handed in as the JSON array $1 of source rows. */
export const jsonSource = `
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS source (${Object.entries(sourceColumns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ')})`;

/**
 * First: every movie of $1 (text[]) gets its aggregate row. Ordered, so that two batches that create the same movies wait
 * for each other instead of deadlocking. Nearly all are there, and to look costs a third of a conflict.
 */
export const createAggregates = `
  INSERT INTO aggregated_rating (movie_id)
  SELECT id FROM unnest($1::text[]) AS wanted (id)
  WHERE NOT EXISTS (SELECT FROM aggregated_rating WHERE movie_id = id) ORDER BY id COLLATE "C"
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

/** What is told of the aggregates that `from` has, with a column trace: bundles for the outbox. */
export const aggregateEvents = (from: string): string =>
  bundled(
    aggregatedRatingChanged,
    `SELECT movie_id AS key, trace, row_to_json(data) AS data
     FROM ${from}, LATERAL (SELECT movie_id AS "movieId", sum, count,
       ARRAY[${scoreColumns.join(', ')}] AS histogram, version) AS data`,
  );

const ratingEvents = [
  bundled(
    ratingSubmitted,
    `SELECT movie_id AS key, trace, row_to_json(data) AS data
     FROM incoming, LATERAL (SELECT movie_id AS "movieId", viewer_id AS "viewerId", new_version AS version,
       score, review) AS data
     WHERE incoming.score IS NOT NULL`,
  ),
  bundled(
    ratingRetracted,
    `SELECT movie_id AS key, trace, row_to_json(data) AS data
     FROM incoming, LATERAL (SELECT movie_id AS "movieId", viewer_id AS "viewerId", new_version AS version) AS data
     WHERE incoming.score IS NULL AND old_score IS NOT NULL`,
  ),
];

/**
 * Third, the one set-based write: ratings replaced, aggregates moved by exactly the difference, and what is to be told of
 * both put into the outbox. Behind the lock nobody else writes a rating of these movies, so that what is not there can be
 * inserted plainly, which costs a fifth less than ON CONFLICT.
 */
const merge = (source: string, condition: string, events: readonly string[]) => `
  WITH source AS (${source}),
  incoming AS (
    SELECT source.*, present.score AS old_score, present.movie_id IS NOT NULL AS existed,
      coalesce(source.rating_version, present.version + 1, 1) AS new_version,
      CASE WHEN present.score IS NULL THEN source.written_at ELSE present.created_at END AS new_created_at
    FROM source LEFT JOIN rating AS present USING (movie_id, viewer_id)
    WHERE ${condition}
  ),
  inserted AS (
    INSERT INTO rating (movie_id, viewer_id, score, review, version, origin,
      event_time, event_partition, event_offset, created_at, updated_at)
    SELECT movie_id, viewer_id, score, review, new_version, origin,
      event_time, event_partition, event_offset, new_created_at, written_at
    FROM incoming WHERE NOT existed ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C"
  ),
  updated AS (
    UPDATE rating AS present SET
      score = incoming.score, review = incoming.review, version = incoming.new_version, origin = incoming.origin,
      event_time = incoming.event_time, event_partition = incoming.event_partition,
      event_offset = incoming.event_offset, created_at = incoming.new_created_at, updated_at = incoming.written_at
    FROM incoming
    WHERE incoming.existed AND present.movie_id = incoming.movie_id AND present.viewer_id = incoming.viewer_id
  ),
  difference AS (
    SELECT movie_id, min(trace) AS trace,
      coalesce(sum(score), 0) - coalesce(sum(old_score), 0) AS sum,
      count(score) - count(old_score) AS count,
      ${scores
        .map(
          (n) => `count(*) FILTER (WHERE score = ${n}) - count(*) FILTER (WHERE old_score = ${n}) AS s${n}`,
        )
        .join(',\n      ')}
    FROM incoming WHERE score IS DISTINCT FROM old_score GROUP BY movie_id
  ),
  moved AS (
    UPDATE aggregated_rating AS aggregate SET
      sum = aggregate.sum + difference.sum,
      count = aggregate.count + difference.count,
      ${scoreColumns.map((s) => `${s} = aggregate.${s} + difference.${s}`).join(', ')},
      version = aggregate.version + 1
    FROM difference WHERE aggregate.movie_id = difference.movie_id
    RETURNING aggregate.*, difference.trace
  ),
  told AS (
    ${insertBundles(...events)}
  )`;

/**
 * Merges the JSON array $1 and answers a row for each rating written: the rating, its old score, and its movie's new
 * aggregate where that moved. Retracting what is not there writes nothing and has no row.
 */
export const mergeRatings = `${merge(jsonSource, 'source.score IS NOT NULL OR present.score IS NOT NULL', [
  ...ratingEvents,
  aggregateEvents('moved'),
])}
  SELECT incoming.movie_id AS "movieId", incoming.viewer_id AS "viewerId",
    incoming.new_created_at AS "createdAt", incoming.written_at AS "updatedAt", incoming.old_score AS "oldScore",
    moved.sum, moved.count, ${scoreColumns.map((s) => `moved.${s}`).join(', ')}
  FROM incoming LEFT JOIN moved USING (movie_id)`;

/**
 * Merges the JSON array $1 of outside events: only what is later than what is stored is written, so that any order of
 * arrival ends the same. A retraction of what is not there is kept, so that an earlier event that comes late meets it.
 */
export const mergeEvents = `${merge(
  jsonSource,
  `present.movie_id IS NULL OR CASE WHEN source.rating_version IS NULL
      THEN (source.event_time, source.event_partition, source.event_offset) > (coalesce(present.event_time, '-infinity'),
        coalesce(present.event_partition, -1), coalesce(present.event_offset, -1))
      ELSE source.rating_version > present.version END`,
  [...ratingEvents, aggregateEvents('moved')],
)}
  SELECT count(*)::int AS written FROM incoming`;

/**
 * Merges the source as an import does: only what differs in score from what is stored, or is of a later event, is written,
 * so that a second run writes nothing; what is of an earlier event than the stored one is left out, so that files may come
 * in any order. Of a file each movie is told once. Answers one row with the numbers of ratings written and looked at.
 */
export const mergeChangedRatings = (source: string): string => `${merge(
  source,
  `(source.score IS DISTINCT FROM present.score OR source.event_time > present.event_time)
      AND (source.event_time < present.event_time) IS NOT TRUE`,
  [aggregateEvents('moved')],
)}
  SELECT (SELECT count(*) FROM incoming)::int AS written, (SELECT count(*) FROM source)::int AS merged,
    (SELECT count(*) FROM moved)::int AS movies`;

/** The columns of an aggregate as drivers hand them over: bigint as text or as BigInt. */
export type AggregateRow = Readonly<Record<'sum' | 'count' | (typeof scoreColumns)[number], string | bigint>>;

/** An aggregate row as a model; exact up to 2^53 votes. */
export const toAggregatedRating = (row: AggregateRow): AggregatedRatingModel => ({
  sum: Number(row.sum),
  count: Number(row.count),
  histogram: scoreColumns.map((column) => Number(row[column])),
});
