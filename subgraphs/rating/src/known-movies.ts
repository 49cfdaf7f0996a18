/**
 * Takes over what metadata says of movies: the JSON array $1 of {movie, version, deleted}, one of a movie. What is older
 * than what is known is ignored, so that any order ends the same. Ordered, so that two batches wait for each other.
 */
export const putKnownMovies = `
  INSERT INTO known_movie AS known (id, version, deleted)
  SELECT movie, version, deleted
  FROM jsonb_to_recordset($1::jsonb) AS r (movie text, version bigint, deleted boolean) ORDER BY movie COLLATE "C"
  ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted
    WHERE known.version < excluded.version`;
