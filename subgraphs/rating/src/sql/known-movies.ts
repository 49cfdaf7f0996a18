/**
 * Stores states of movies: the JSON array $1 of {movie, version, deleted}, at most one for each movie. A
 * state that is older than the stored one is ignored, so that the order of arrival has no effect. Rows are
 * written in the order of their ids, so that two batches wait for each other and do not deadlock.
 */
export const putKnownMovies = `
  INSERT INTO known_movie AS known (id, version, deleted)
  SELECT movie, version, deleted
  FROM jsonb_to_recordset($1::jsonb) AS r (movie text, version bigint, deleted boolean) ORDER BY movie COLLATE "C"
  ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted
    WHERE known.version < excluded.version`;
