-- Two movies that are one film are joined (docs/decisions/0041). The new columns are null or false, so that no row is
-- rewritten.
ALTER TABLE known_movie ADD COLUMN joined_into text;
CREATE INDEX known_movie_joined_into ON known_movie (joined_into) WHERE joined_into IS NOT NULL;

-- The row that every writer of a movie's ratings locks says where they go. "joined" is true for a movie that is joined, for
-- one that others are joined into, and while votes are moved from or to it.
ALTER TABLE aggregated_rating
  ADD COLUMN joined_into text,
  ADD COLUMN joined boolean NOT NULL DEFAULT false,
  DROP CONSTRAINT aggregated_rating_movie_state,
  ADD CONSTRAINT aggregated_rating_movie_state CHECK (movie_state IN ('unknown', 'known', 'deleted', 'joined')),
  ADD CONSTRAINT aggregated_rating_joined_into CHECK ((movie_state = 'joined') = (joined_into IS NOT NULL));
CREATE INDEX aggregated_rating_joined ON aggregated_rating (movie_id, joined_into) WHERE joined_into IS NOT NULL;

-- Votes of movie_id that may have to move between it and the counterpart. A row is deleted when none is left.
CREATE TABLE vote_move (
  movie_id    text NOT NULL,
  counterpart text NOT NULL,
  PRIMARY KEY (movie_id, counterpart)
);

-- Each move with the movies that it reads or writes.
CREATE VIEW vote_move_concerning AS
  SELECT move.movie_id, move.counterpart, coalesce(home.joined_into, home.movie_id) AS kept_id,
    coalesce(other.joined_into, other.movie_id) AS kept_id_of_counterpart,
    array_remove(ARRAY[move.movie_id, move.counterpart, home.joined_into, other.joined_into], NULL) AS ids
  FROM vote_move AS move
    JOIN aggregated_rating AS home ON home.movie_id = move.movie_id
    JOIN aggregated_rating AS other ON other.movie_id = move.counterpart;

-- What a writer of ratings of these movies locks: also what they are joined into, and what votes are moved from or to. A
-- function keeps its plan, so that the statement that locks is not planned with all of this for each mutation.
CREATE FUNCTION movies_to_lock(requested text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  kept text[] := requested || ARRAY(
    SELECT joined_into FROM aggregated_rating WHERE movie_id = ANY (requested) AND joined_into IS NOT NULL);
BEGIN
  RETURN kept || ARRAY(SELECT unnest(ids) FROM vote_move_concerning WHERE ids && kept);
END $$;

-- The movie that a vote of a joined movie was given for. The index has only such votes.
ALTER TABLE rating ADD COLUMN given_for text;
CREATE INDEX rating_given_for ON rating (movie_id, given_for, viewer_id) WHERE given_for IS NOT NULL;

-- The older vote of a viewer who rated both movies. It does not count, and comes back if the movies are parted.
CREATE TABLE superseded_rating (
  movie_id        text        NOT NULL,
  viewer_id       text        NOT NULL,
  score           smallint    CHECK (score BETWEEN 1 AND 10),
  review          text,
  version         bigint      NOT NULL,
  origin          text        NOT NULL,
  provider        text,
  event_time      timestamptz,
  event_partition integer,
  event_offset    bigint,
  created_at      timestamptz(3) NOT NULL,
  updated_at      timestamptz(3) NOT NULL,
  PRIMARY KEY (viewer_id, movie_id)
);
CREATE INDEX superseded_rating_of_movie ON superseded_rating (movie_id, viewer_id);
