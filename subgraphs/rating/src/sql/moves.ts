import { insertBundles } from '@cinegraph/messaging/outbox/append';
import { aggregateEvents, asShown, moveAggregates, movedEvents, scoreColumns } from './merge.js';

/** The columns of a vote that go with it, wherever it is stored. */
const content = [
  ...['score', 'review', 'version', 'origin', 'provider', 'event_time', 'event_partition', 'event_offset'],
  ...['created_at', 'updated_at'],
];
const contentOf = (row: string) => content.map((column) => `${row}.${column}`).join(', ');

/**
 * Returns what votes of one viewer are compared by, the newest highest, as the merge does: the version of a
 * source that has versions, or else the time, partition and offset. A retraction is older than any vote.
 */
const newness = (row: string): string =>
  `(${row}.score IS NOT NULL, CASE WHEN ${row}.origin = 'event' AND ${row}.event_time IS NULL THEN ${row}.version ELSE 0 END,
    coalesce(${row}.event_time, ${row}.updated_at), coalesce(${row}.event_partition, -1), coalesce(${row}.event_offset, -1))`;

/**
 * Moves the votes of `source` (home, viewer_id and content; at most one for each viewer) to the movie $2,
 * whose aggregate the transaction has locked. `home` is the movie that a vote was given for. If the viewer
 * has a vote at $2, the newest of the two counts, and the other one is stored as superseded. `remove`
 * deletes the rows of `source`, and `from` is the movie at which they counted, if they did. Returns the
 * viewers.
 */
const moveVotes = (parts: { source: string; remove: string; from?: string }): string => `
  WITH source AS (${parts.source}
  ),
  pair AS (
    SELECT source.*, present.movie_id IS NOT NULL AS meets, present.score AS met_score,
      present.movie_id IS NOT NULL AND ${newness('source')} > ${newness('present')} AS wins
    FROM source LEFT JOIN rating AS present
      ON present.movie_id = $2::text AND present.viewer_id = source.viewer_id
  ),
  removed AS (${parts.remove}
  ),
  superseded AS (
    INSERT INTO superseded_rating (movie_id, viewer_id, ${content.join(', ')})
    SELECT home, viewer_id, ${contentOf('pair')} FROM pair WHERE meets AND NOT wins
    UNION ALL
    SELECT coalesce(present.given_for, present.movie_id), present.viewer_id, ${contentOf('present')}
    FROM pair JOIN rating AS present ON present.movie_id = $2::text AND present.viewer_id = pair.viewer_id
    WHERE wins
    ON CONFLICT (viewer_id, movie_id) DO UPDATE SET
      ${content.map((column) => `${column} = excluded.${column}`).join(', ')}
  ),
  added AS (
    INSERT INTO rating (movie_id, viewer_id, given_for, ${content.join(', ')})
    SELECT $2::text, viewer_id, nullif(home, $2::text), ${contentOf('pair')} FROM pair WHERE NOT meets
  ),
  replaced AS (
    UPDATE rating AS present SET given_for = nullif(home, $2::text),
      ${content
        .map((column) =>
          column === 'version'
            ? 'version = greatest(pair.version, present.version)'
            : `${column} = pair.${column}`,
        )
        .join(', ')}
    FROM pair WHERE wins AND present.movie_id = $2::text AND present.viewer_id = pair.viewer_id
  ),
  difference AS (
    SELECT movie_id, NULL::text AS trace, sum(sign * score) AS sum, sum(sign) AS count,
      ${scoreColumns.map((s, at) => `coalesce(sum(sign) FILTER (WHERE score = ${at + 1}), 0) AS ${s}`).join(', ')}
    FROM (
      ${parts.from === undefined ? '' : `SELECT ${parts.from} AS movie_id, -1 AS sign, score FROM pair UNION ALL`}
      SELECT $2::text AS movie_id, 1 AS sign, score FROM pair WHERE wins OR NOT meets
      UNION ALL SELECT $2::text, -1, met_score FROM pair WHERE wins
    ) AS change WHERE score IS NOT NULL GROUP BY movie_id
  ),
  moved AS (${moveAggregates}
  ),
  published AS (${insertBundles(movedEvents)})
  SELECT viewer_id AS "viewerId" FROM pair`;

/**
 * Moves votes from the movie $1, whose aggregate is locked, to $2: of the viewers $3 (text[]; null: all), at
 * most $4 (null: all).
 */
const moveFrom = (condition: string): string =>
  moveVotes({
    from: '$1::text',
    source: `
    SELECT coalesce(given_for, movie_id) AS home, viewer_id, ${content.join(', ')} FROM rating AS vote
    WHERE movie_id = $1::text AND ${condition} AND ($3::text[] IS NULL OR viewer_id = ANY ($3::text[]))
    ORDER BY viewer_id LIMIT $4::bigint`,
    remove: `
    DELETE FROM rating AS vote USING source WHERE vote.movie_id = $1::text AND vote.viewer_id = source.viewer_id`,
  });

/**
 * Moves the votes of the joined movie $1 to the movie $2 that it is joined into; see `moveFrom`. Votes that
 * were given for a third movie go along if that one is joined into $2, too.
 */
export const joinVotes = moveFrom(`(given_for IS NULL OR EXISTS (
      SELECT FROM aggregated_rating AS home WHERE home.movie_id = vote.given_for AND home.joined_into = $2::text))`);

/** Moves the votes that were given for the movie $5 from the movie $1 to $2; see `moveFrom`. */
export const returnVotes = moveFrom('given_for = $5::text');

/**
 * Moves superseded votes back to the movie $2, to which votes for $1 (null: for any movie) belong now: of
 * the viewers $3 (text[]; null: all), at most $4 (null: all). Only the newest vote of a viewer moves, and
 * only if it is newer than the one that counts.
 */
export const restoreVotes = moveVotes({
  source: `
    SELECT newest.* FROM (
      SELECT DISTINCT ON (viewer_id) movie_id AS home, viewer_id, ${content.join(', ')}
      FROM superseded_rating AS vote
      WHERE ($1::text IS NULL OR movie_id = $1::text) AND ($3::text[] IS NULL OR viewer_id = ANY ($3::text[]))
        AND EXISTS (SELECT FROM aggregated_rating AS home
          WHERE home.movie_id = vote.movie_id AND coalesce(home.joined_into, home.movie_id) = $2::text)
      ORDER BY viewer_id, ${newness('vote')} DESC
    ) AS newest LEFT JOIN rating AS present
      ON present.movie_id = $2::text AND present.viewer_id = newest.viewer_id
    WHERE present.movie_id IS NULL OR ${newness('newest')} > ${newness('present')}
    LIMIT $4::bigint`,
  remove: `
    DELETE FROM superseded_rating AS vote USING source
    WHERE vote.movie_id = source.home AND vote.viewer_id = source.viewer_id`,
});

/** Returns the moves that concern a movie of $1 (text[]), and where votes of their two movies go. */
export const findMoves = `
  SELECT movie_id AS "movieId", counterpart, kept_id AS "keptId",
    kept_id_of_counterpart AS "keptIdOfCounterpart", ids
  FROM vote_move_concerning WHERE ids && $1::text[]
  ORDER BY movie_id COLLATE "C", counterpart COLLATE "C"`;

/** Sets `joined` of the aggregates $1 (text[]), which are locked. */
export const markJoined = `
  UPDATE aggregated_rating AS aggregate SET joined = requested.joined
  FROM (
    SELECT id, EXISTS (SELECT FROM vote_move_concerning WHERE id = ANY (ids))
      OR EXISTS (SELECT FROM aggregated_rating WHERE joined_into IS NOT NULL AND id IN (movie_id, joined_into)) AS joined
    FROM unnest($1::text[]) AS id
  ) AS requested
  WHERE aggregate.movie_id = requested.id AND aggregate.joined <> requested.joined`;

/**
 * Joins and parts movies whose aggregates are locked: the JSON array $1 of {movie, into}, where `into` is
 * null for a movie that is parted. Their votes are moved later. The aggregates are published as they show
 * now.
 */
export const setJoins = `
  WITH change AS (
    SELECT change.movie, change."into", present.joined_into AS was
    FROM jsonb_to_recordset($1::jsonb) AS change (movie text, "into" text)
      JOIN aggregated_rating AS present ON present.movie_id = change.movie
  ),
  listed AS (
    INSERT INTO vote_move (movie_id, counterpart)
    SELECT movie, "into" FROM change WHERE "into" IS NOT NULL
    UNION SELECT movie, was FROM change WHERE was IS NOT NULL
    ON CONFLICT DO NOTHING
  ),
  moved AS (
    UPDATE aggregated_rating AS aggregate SET joined_into = change."into", version = aggregate.version + 1,
      movie_state = CASE
        WHEN change."into" IS NOT NULL THEN 'joined'
        WHEN known.id IS NULL THEN 'unknown'
        WHEN known.deleted THEN 'deleted'
        ELSE 'known'
      END
    FROM change LEFT JOIN known_movie AS known ON known.id = change.movie
    WHERE aggregate.movie_id = change.movie
    RETURNING aggregate.*, NULL::text AS trace
  )
  ${insertBundles(aggregateEvents(asShown('moved')))}`;
