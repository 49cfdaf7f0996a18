import { aggregatedRatingChanged, ratingRetracted, ratingSubmitted } from '@cinegraph/events/rating';
import { bundled, insertBundles } from '@cinegraph/messaging/outbox/append';

/**
 * There is one way to count a rating: the three statements of this file, in one transaction, in this order.
 * They read a source with these columns and at most one row for each movie and viewer. A null score
 * retracts. The rating of an external event has the order of that event: the version of the rating, or the
 * append time, partition and offset of the broker. `given_for` is the movie that the rating named, if that
 * one is joined into `movie_id`.
 */
const sourceColumns = {
  movie_id: 'text',
  viewer_id: 'text',
  given_for: 'text',
  score: 'smallint',
  review: 'text',
  origin: 'text',
  provider: 'text',
  rating_version: 'bigint',
  event_time: 'timestamptz',
  event_partition: 'integer',
  event_offset: 'bigint',
  written_at: 'timestamptz',
  trace: 'text',
};

/** A row of a source that is passed as JSON. Columns that are left out are null. */
export type SourceRow = Readonly<Partial<Record<keyof typeof sourceColumns, string | number | null>>>;

/** A source that is passed as $1, a JSON array of source rows. */
export const jsonSource = `
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS source (${Object.entries(sourceColumns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ')})`;

/**
 * First statement: creates the aggregate row of every movie of $1 (text[]) that has none. Rows are created
 * in the order of their ids, so that two batches that create the same rows wait for each other and do not
 * deadlock. Nearly all rows exist, and a look-up costs a third of an insert that meets a conflict.
 */
export const createAggregates = `
  INSERT INTO aggregated_rating (movie_id)
  SELECT id FROM unnest($1::text[]) AS requested (id)
  WHERE NOT EXISTS (SELECT FROM aggregated_rating WHERE movie_id = id) ORDER BY id COLLATE "C"
  ON CONFLICT (movie_id) DO NOTHING`;

/**
 * Second statement: locks the aggregate rows of $1 (text[]) in the order of their ids, and returns the state
 * of each movie. Two batches with a movie in common wait for each other here. After the lock, the old scores
 * that the merge reads are the committed ones. Without it, two first votes of one viewer would both see no
 * old score and count twice. The state is a column of the locked row, so that it is the committed one, too.
 *
 * Of a joined movie, the movie that it is joined into is locked with it. While votes are moved between
 * movies, all of these are locked. Hence the locks of a batch are taken in one order (joined-movies.ts).
 */
export const lockAggregates = `
  SELECT movie_id, movie_state, joined_into, joined FROM aggregated_rating
  WHERE movie_id = ANY ((SELECT movies_to_lock($1::text[]))::text[])
  ORDER BY movie_id COLLATE "C"
  FOR UPDATE`;

const scores = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const;

/** The columns that count the votes of each score: s1 to s10. */
export const scoreColumns = scores.map((score) => `s${score}` as const);

/** Returns the expressions that count the rows of each score, named by `scoreColumns`. */
export const scoreCounts = (column: string): string =>
  scores.map((score) => `count(*) FILTER (WHERE ${column} = ${score}) AS s${score}`).join(', ');

/**
 * Returns the statement that makes outbox bundles of `AggregatedRatingChanged` from the rows of `from`:
 * aggregates with a column `trace`.
 */
export const aggregateEvents = (from: string): string =>
  bundled(
    aggregatedRatingChanged,
    `SELECT movie_id AS key, trace, row_to_json(data) AS data
     FROM ${from}, LATERAL (SELECT movie_id AS "movieId", sum, count,
       ARRAY[${scoreColumns.join(', ')}] AS histogram, version) AS data`,
  );

/**
 * Returns the rows of `from` (aggregates with a column `trace`) as clients read them: without votes while
 * the movie is unknown or deleted.
 */
export const asShown = (from: string): string => `(
  SELECT movie_id, version, trace, ${['sum', 'count', ...scoreColumns]
    .map((column) => `CASE WHEN movie_state = 'known' THEN ${column} ELSE 0 END AS ${column}`)
    .join(', ')}
  FROM ${from}) AS shown`;

/** The events of the aggregates that a merge moved. Those that nobody sees are published when they show. */
export const movedEvents = aggregateEvents(`(SELECT * FROM moved WHERE movie_state = 'known') AS shown`);

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

/** Changes the aggregates by the rows of `difference`: movie_id, trace, and the difference of each column. */
export const moveAggregates = `
    UPDATE aggregated_rating AS aggregate SET
      sum = aggregate.sum + difference.sum,
      count = aggregate.count + difference.count,
      ${scoreColumns.map((s) => `${s} = aggregate.${s} + difference.${s}`).join(', ')},
      version = aggregate.version + 1
    FROM difference WHERE aggregate.movie_id = difference.movie_id
    RETURNING aggregate.*, difference.trace`;

/**
 * The part of the merge that only a batch with joined movies needs: it deletes superseded votes that do
 * not come back. These are the viewer's for the same movie, and after a retraction those for the whole film.
 */
const outdated = `outdated AS (
    DELETE FROM superseded_rating AS earlier USING incoming
    WHERE earlier.viewer_id = incoming.viewer_id AND (
      earlier.movie_id = coalesce(incoming.given_for, incoming.movie_id)
      OR (incoming.score IS NULL AND EXISTS (
        SELECT FROM aggregated_rating AS home
        WHERE home.movie_id = earlier.movie_id AND incoming.movie_id IN (home.movie_id, home.joined_into))))
  ),`;

/**
 * A merge in two forms: for a batch without joined movies, and for one with a movie whose aggregate is
 * `joined`. The first is planned in less time.
 */
export interface MergeStatement {
  readonly plain: string;
  readonly joined: string;
}

const inBothForms = (merged: (outdatedVotes: string) => string): MergeStatement => ({
  plain: merged(''),
  joined: merged(outdated),
});

/**
 * Third statement, the only write of ratings: it replaces ratings, changes the aggregates by exactly the
 * difference, and appends the events of both to the outbox. After the lock no other transaction writes
 * ratings of these movies, so that new ones are inserted without ON CONFLICT, which costs a fifth less.
 */
const merge = (outdatedVotes: string, source: string, condition: string, events: readonly string[]) => `
  WITH source AS (${source}),
  incoming AS (
    SELECT source.*, present.score AS old_score, present.movie_id IS NOT NULL AS existed,
      coalesce(source.rating_version, present.version + 1, 1) AS new_version,
      CASE WHEN present.score IS NULL THEN source.written_at ELSE present.created_at END AS new_created_at
    FROM source LEFT JOIN rating AS present USING (movie_id, viewer_id)
    WHERE ${condition}
  ),
  inserted AS (
    INSERT INTO rating (movie_id, viewer_id, given_for, score, review, version, origin, provider,
      event_time, event_partition, event_offset, created_at, updated_at)
    SELECT movie_id, viewer_id, given_for, score, review, new_version, origin, provider,
      event_time, event_partition, event_offset, new_created_at, written_at
    FROM incoming WHERE NOT existed ORDER BY movie_id COLLATE "C", viewer_id COLLATE "C"
  ),
  updated AS (
    UPDATE rating AS present SET
      given_for = incoming.given_for, score = incoming.score, review = incoming.review, version = incoming.new_version, origin = incoming.origin,
      provider = incoming.provider, event_time = incoming.event_time, event_partition = incoming.event_partition,
      event_offset = incoming.event_offset, created_at = incoming.new_created_at, updated_at = incoming.written_at
    FROM incoming
    WHERE incoming.existed AND present.movie_id = incoming.movie_id AND present.viewer_id = incoming.viewer_id
  ),
  ${outdatedVotes}
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
    ${moveAggregates}
  ),
  published AS (
    ${insertBundles(...events)}
  )`;

/**
 * Returns as JSON the columns of an aggregate that `AggregatedRatingModel` has. JSON numbers are exact up to
 * 2^53 votes.
 */
const aggregateJson = (row: string): string =>
  `json_build_object('sum', ${row}.sum, 'count', ${row}.count,
    'histogram', json_build_array(${scoreColumns.map((s) => `${row}.${s}`).join(', ')}))`;

/** Returns the aggregates of the movies $1 (text[]); those of unknown and deleted movies are left out. */
export const readAggregates = `
  SELECT movie_id AS "movieId", ${aggregateJson('stored')} AS aggregate
  FROM aggregated_rating AS stored WHERE movie_id = ANY ($1::text[]) AND movie_state = 'known'`;

/**
 * Merges the JSON array $1. Returns a row for each rating that was written: its times, its old score, and
 * the new aggregate of its movie, or null if the aggregate did not change or does not show. A retraction of
 * a rating that does not exist writes nothing and has no row.
 */
export const mergeRatings = inBothForms(
  (votes) => `${merge(votes, jsonSource, 'source.score IS NOT NULL OR present.score IS NOT NULL', [
    ...ratingEvents,
    movedEvents,
  ])}
  SELECT incoming.movie_id AS "movieId", incoming.viewer_id AS "viewerId",
    incoming.new_created_at AS "createdAt", incoming.written_at AS "updatedAt", incoming.old_score AS "oldScore",
    CASE WHEN moved.movie_state = 'known' THEN ${aggregateJson('moved')} END AS aggregate
  FROM incoming LEFT JOIN moved USING (movie_id)`,
);

/**
 * Merges the JSON array $1 of ratings from external events. Only an event that is later than the stored one
 * is written, so that the order of arrival has no effect. A retraction of a rating that does not exist is
 * stored, so that an earlier event which arrives after it is ignored.
 */
export const mergeEvents = inBothForms(
  (votes) => `${merge(
    votes,
    jsonSource,
    `present.movie_id IS NULL OR CASE WHEN source.rating_version IS NULL
      THEN (source.event_time, source.event_partition, source.event_offset) > (coalesce(present.event_time, '-infinity'),
        coalesce(present.event_partition, -1), coalesce(present.event_offset, -1))
      ELSE source.rating_version > present.version END`,
    [...ratingEvents, movedEvents],
  )}
  SELECT count(*)::int AS written FROM incoming`,
);

/**
 * Returns the statement that merges the source of an import. A rating is written if its score or provider
 * differs from the stored one or its event is later, so that a second run writes nothing. A rating with an
 * earlier event than the stored one is left out, so that files may come in any order. If a viewer rated two
 * movies that are joined, the later event wins, and of equal ones the stored one. Only the aggregates are
 * published, once for each movie. The statement returns one row: the numbers of ratings that were
 * written and looked at.
 */
export const mergeChangedRatings = (source: string): MergeStatement =>
  inBothForms(
    (votes) => `${merge(
      votes,
      source,
      `(source.score IS DISTINCT FROM present.score OR source.event_time > present.event_time
      OR (source.score IS NOT NULL AND source.provider IS DISTINCT FROM present.provider))
      AND (source.event_time < present.event_time) IS NOT TRUE
      AND (present.movie_id IS NULL OR source.given_for IS NOT DISTINCT FROM present.given_for
        OR source.event_time > present.event_time)`,
      [movedEvents],
    )}
  SELECT (SELECT count(*) FROM incoming)::int AS written, (SELECT count(*) FROM source)::int AS merged,
    (SELECT count(*) FROM moved)::int AS movies`,
  );
