-- The aggregated rating of each movie, as the events of rating report it: it filters and sorts movies. Every movie has
-- a row, so that a list in order of ratings is one index scan. A row without a movie belongs to a movie whose rating
-- arrived first.
CREATE TABLE movie_rating (
  movie_id text    PRIMARY KEY,
  -- The version of the aggregate; 0 if no event arrived yet.
  version  bigint  NOT NULL DEFAULT 0,
  sum      bigint  NOT NULL DEFAULT 0,
  count    integer NOT NULL DEFAULT 0
);

-- Sort orders (MovieSort). A movie without ratings comes last in either direction, which is why the average and the
-- weighted score have one index for each direction. The weighted score is that of rating's Query.topRated.
CREATE INDEX movie_rating_by_average_asc ON movie_rating
  ((CASE WHEN count > 0 THEN sum::float8 / count ELSE 'infinity' END), movie_id COLLATE "C");
CREATE INDEX movie_rating_by_average_desc ON movie_rating
  ((CASE WHEN count > 0 THEN sum::float8 / count ELSE '-infinity' END), movie_id COLLATE "C");
CREATE INDEX movie_rating_by_weighted_asc ON movie_rating
  ((CASE WHEN count > 0 THEN (325 + sum)::float8 / (50 + count) ELSE 'infinity' END), movie_id COLLATE "C");
CREATE INDEX movie_rating_by_weighted_desc ON movie_rating
  ((CASE WHEN count > 0 THEN (325 + sum)::float8 / (50 + count) ELSE '-infinity' END), movie_id COLLATE "C");
CREATE INDEX movie_rating_by_count ON movie_rating (count, movie_id COLLATE "C");

CREATE FUNCTION add_movie_ratings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO movie_rating (movie_id) SELECT id FROM added ORDER BY id COLLATE "C" ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE TRIGGER movie_ratings_of_new_movies AFTER INSERT ON movie
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION add_movie_ratings();

-- What is there already.
INSERT INTO movie_rating (movie_id) SELECT id FROM movie;
