import { insertBundles } from '@cinegraph/messaging/outbox/append';
import { aggregateEvents, asShown } from './merge.js';

/** The columns of a state of a movie that is passed as JSON. */
const states = `jsonb_to_recordset($1::jsonb) AS state (movie text, version bigint, deleted boolean)`;

/** Returns the ids of the movies whose state in the JSON array $1 is newer than the stored one. */
export const findNewerStates = `
  SELECT movie FROM ${states} LEFT JOIN known_movie AS known ON known.id = movie
  WHERE known.id IS NULL OR known.version < state.version`;

/**
 * Stores states of movies: the JSON array $1 of {movie, version, deleted}, at most one for each movie,
 * whose aggregates the transaction has created and locked. A state that is older than the stored one is
 * ignored, so that the order of arrival has no effect. The aggregate gets the new state. If it has votes
 * that show now, or no longer, its event is appended to the outbox.
 */
export const putKnownMovies = `
  WITH stored AS (
    INSERT INTO known_movie AS known (id, version, deleted)
    SELECT movie, version, deleted FROM ${states} ORDER BY movie COLLATE "C"
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted
      WHERE known.version < excluded.version
    RETURNING id, CASE WHEN deleted THEN 'deleted' ELSE 'known' END AS state
  ),
  changed AS (
    SELECT id, state, present.count > 0 AND 'known' IN (state, present.movie_state) AS shows
    FROM stored JOIN aggregated_rating AS present ON present.movie_id = id
    WHERE present.movie_state <> state
  ),
  moved AS (
    UPDATE aggregated_rating AS aggregate
    SET movie_state = changed.state, version = aggregate.version + changed.shows::integer
    FROM changed WHERE aggregate.movie_id = changed.id
    RETURNING aggregate.*, changed.shows, NULL::text AS trace
  )
  ${insertBundles(aggregateEvents(asShown('moved WHERE shows')))}`;
