-- Two movies that are one film are joined (docs/decisions/0040). The new columns are null or false, so that no row is
-- rewritten.
ALTER TABLE known_movie ADD COLUMN joined_into text;
CREATE INDEX known_movie_joined_into ON known_movie (joined_into) WHERE joined_into IS NOT NULL;

-- The row that every writer of a movie's ratings locks says where they go, and whether votes are still being moved.
ALTER TABLE aggregated_rating
  ADD COLUMN joined_into text,
  ADD COLUMN moving boolean NOT NULL DEFAULT false,
  DROP CONSTRAINT aggregated_rating_movie_state,
  ADD CONSTRAINT aggregated_rating_movie_state CHECK (movie_state IN ('unknown', 'known', 'deleted', 'joined')),
  ADD CONSTRAINT aggregated_rating_joined CHECK ((movie_state = 'joined') = (joined_into IS NOT NULL));
CREATE INDEX aggregated_rating_joined ON aggregated_rating (movie_id, joined_into) WHERE joined_into IS NOT NULL;

-- Votes of movie_id that may have to move between it and the counterpart. A row is deleted when none is left.
CREATE TABLE vote_move (
  movie_id    text NOT NULL,
  counterpart text NOT NULL,
  PRIMARY KEY (movie_id, counterpart)
);

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
