-- What metadata says of the movie, in the row that every writer of its ratings locks. Ratings of an unknown movie are kept and
-- show once the movie comes. From here on every known movie has an aggregate.
--
-- Existing rows get the default without being rewritten; only those of unknown and deleted movies are updated. The table has a
-- row for each movie and not for each rating.
ALTER TABLE aggregated_rating
  ADD COLUMN movie_state text NOT NULL DEFAULT 'known',
  ADD CONSTRAINT aggregated_rating_movie_state CHECK (movie_state IN ('unknown', 'known', 'deleted'));
ALTER TABLE aggregated_rating ALTER COLUMN movie_state SET DEFAULT 'unknown';

UPDATE aggregated_rating AS aggregate SET
  movie_state = CASE WHEN known.id IS NULL THEN 'unknown' ELSE 'deleted' END,
  version = aggregate.version + 1
FROM aggregated_rating AS present LEFT JOIN known_movie AS known ON known.id = present.movie_id
WHERE aggregate.movie_id = present.movie_id AND known.deleted IS NOT FALSE;

INSERT INTO aggregated_rating (movie_id, movie_state)
SELECT id, CASE WHEN deleted THEN 'deleted' ELSE 'known' END FROM known_movie
ON CONFLICT (movie_id) DO NOTHING;

-- Their aggregates were published with votes that no longer show.
INSERT INTO messaging.outbox (type, version, topic, key, payload)
SELECT 'AggregatedRatingChanged', 1, 'rating.aggregates.v1', movie_id, jsonb_build_object(
  'movieId', movie_id, 'sum', 0, 'count', 0, 'histogram', to_jsonb(array_fill(0, ARRAY[10])), 'version', version)
FROM aggregated_rating WHERE movie_state <> 'known' AND count > 0;

DROP INDEX aggregated_rating_top;
CREATE INDEX aggregated_rating_top ON aggregated_rating (weighted DESC, movie_id) WHERE count > 0 AND movie_state = 'known';
-- Only topRated read it.
DROP INDEX known_movie_deleted;
