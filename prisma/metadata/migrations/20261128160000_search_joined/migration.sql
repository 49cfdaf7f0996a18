-- A text as one word: search_fold without a leading article and without spaces, at most 100 characters. It finds
-- "Spider-Man" for "spiderman" and "Superman" for "super man". The indexes are computed from the rows that exist; their
-- creation blocks writes to the two tables, but no reads.
CREATE FUNCTION search_joined(value text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 200
  RETURN left(replace(regexp_replace(search_fold(value), '^(the|an?) (?=.)', ''), ' ', ''), 100);

CREATE INDEX movie_title_joined ON movie (search_joined(title) COLLATE "C") WHERE deleted_at IS NULL;
CREATE INDEX person_name_joined ON person (search_joined(name) COLLATE "C");
