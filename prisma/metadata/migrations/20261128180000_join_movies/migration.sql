-- Two movies that are one film are joined (docs/decisions/0041). The new columns are null, so that no row is rewritten. A
-- joined movie is hidden like a deleted one, and its id leads to the movie that is kept, which is not joined itself.
ALTER TABLE movie
  ADD COLUMN joined_into text,
  ADD CONSTRAINT movie_joined_is_hidden CHECK (joined_into IS NULL OR deleted_at IS NOT NULL);
CREATE INDEX movie_joined_into ON movie (joined_into) WHERE joined_into IS NOT NULL;

-- The joined movie that gave the id to the movie that is kept; it gets it back when the two are parted.
ALTER TABLE external_id ADD COLUMN joined_from text;
CREATE INDEX external_id_joined_from ON external_id (joined_from) WHERE joined_from IS NOT NULL;
