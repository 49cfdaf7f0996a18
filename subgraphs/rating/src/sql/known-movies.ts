import { insertBundles } from '@cinegraph/messaging/outbox/append';
import { aggregateEvents, asShown } from './merge.js';

/** The columns of a state of a movie that is passed as JSON. */
const states = `jsonb_to_recordset($1::jsonb) AS state (movie text, version bigint, deleted boolean, "joinedInto" text)`;

/**
 * Returns the ids of the movies whose state in the JSON array $1 is newer than the stored one, and whether
 * the stored one is joined.
 */
export const findNewerStates = `
  SELECT movie, known.joined_into IS NOT NULL AS joined FROM ${states} LEFT JOIN known_movie AS known ON known.id = movie
  WHERE known.id IS NULL OR known.version < state.version`;

/**
 * Returns the movies among $1 (text[]), and those that are joined into one of them, with what they are joined
 * into: as metadata says, and where their votes go at present.
 */
export const findJoined = `
  SELECT known.id AS movie, known.joined_into AS "joinedInto", aggregate.joined_into AS "keptId"
  FROM known_movie AS known LEFT JOIN aggregated_rating AS aggregate ON aggregate.movie_id = known.id
  WHERE known.id = ANY ($1::text[]) OR known.joined_into = ANY ($1::text[])`;

/**
 * Stores states of movies: the JSON array $1 of {movie, version, deleted, joinedInto}, at most one for each,
 * whose aggregates the transaction has created and locked. A state that is older than the stored one is
 * ignored, so that the order of arrival has no effect. The aggregate gets the new state, unless it is joined
 * at present. If it has votes that show now, or no longer, its event is appended to the outbox.
 */
export const putKnownMovies = `
  WITH stored AS (
    INSERT INTO known_movie AS known (id, version, deleted, joined_into)
    SELECT movie, version, deleted, "joinedInto" FROM ${states} ORDER BY movie COLLATE "C"
    ON CONFLICT (id) DO UPDATE
      SET version = excluded.version, deleted = excluded.deleted, joined_into = excluded.joined_into
      WHERE known.version < excluded.version
    RETURNING id, CASE WHEN deleted THEN 'deleted' ELSE 'known' END AS state
  ),
  changed AS (
    SELECT id, state, present.count > 0 AND 'known' IN (state, present.movie_state) AS shows
    FROM stored JOIN aggregated_rating AS present ON present.movie_id = id
    WHERE present.movie_state NOT IN (state, 'joined')
  ),
  moved AS (
    UPDATE aggregated_rating AS aggregate
    SET movie_state = changed.state, version = aggregate.version + changed.shows::integer
    FROM changed WHERE aggregate.movie_id = changed.id
    RETURNING aggregate.*, changed.shows, NULL::text AS trace
  )
  ${insertBundles(aggregateEvents(asShown('moved WHERE shows')))}`;
