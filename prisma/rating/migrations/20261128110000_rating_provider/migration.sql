-- Who published a rating from outside. Null costs no byte of a row, and the columns come without a rewrite.
ALTER TABLE rating ADD COLUMN provider text;
ALTER TABLE staged_rating ADD COLUMN provider text;

-- The counts of each provider are read by it. Ratings without a provider, as those of viewers here, are not in it, so that
-- their writes pay nothing.
CREATE INDEX rating_of_provider ON rating (movie_id, provider) WHERE provider IS NOT NULL AND score IS NOT NULL;
