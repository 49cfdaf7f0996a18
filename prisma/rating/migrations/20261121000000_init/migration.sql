-- One row a movie and viewer. A retracted rating keeps its row with a null score, so that a late event still meets it.
CREATE TABLE rating (
  movie_id        text        NOT NULL,
  viewer_id       text        NOT NULL,
  score           smallint    CHECK (score BETWEEN 1 AND 10),
  review          text,
  version         integer     NOT NULL DEFAULT 1,
  origin          text        NOT NULL,
  event_time      timestamptz,
  event_partition integer,
  event_offset    bigint,
  -- Milliseconds, as cursors carry them.
  created_at      timestamptz(3) NOT NULL,
  updated_at      timestamptz(3) NOT NULL,
  PRIMARY KEY (movie_id, viewer_id),
  CONSTRAINT rating_review_needs_score CHECK (score IS NOT NULL OR review IS NULL)
);

CREATE INDEX rating_of_movie_newest ON rating (movie_id, created_at DESC, viewer_id) WHERE score IS NOT NULL;
CREATE INDEX rating_of_viewer_newest ON rating (viewer_id, created_at DESC, movie_id) WHERE score IS NOT NULL;

-- The projection of rating: exact integers, moved by differences in the transaction that moves the rating.
CREATE TABLE aggregated_rating (
  movie_id   text    PRIMARY KEY,
  sum        bigint  NOT NULL DEFAULT 0,
  count      bigint  NOT NULL DEFAULT 0,
  s1         bigint  NOT NULL DEFAULT 0 CHECK (s1 >= 0),
  s2         bigint  NOT NULL DEFAULT 0 CHECK (s2 >= 0),
  s3         bigint  NOT NULL DEFAULT 0 CHECK (s3 >= 0),
  s4         bigint  NOT NULL DEFAULT 0 CHECK (s4 >= 0),
  s5         bigint  NOT NULL DEFAULT 0 CHECK (s5 >= 0),
  s6         bigint  NOT NULL DEFAULT 0 CHECK (s6 >= 0),
  s7         bigint  NOT NULL DEFAULT 0 CHECK (s7 >= 0),
  s8         bigint  NOT NULL DEFAULT 0 CHECK (s8 >= 0),
  s9         bigint  NOT NULL DEFAULT 0 CHECK (s9 >= 0),
  s10        bigint  NOT NULL DEFAULT 0 CHECK (s10 >= 0),
  version    bigint  NOT NULL DEFAULT 0,
  -- The Bayesian weighted score of topRated: every movie starts with 50 votes of 6.5 (docs: Query.topRated).
  weighted   double precision NOT NULL
    GENERATED ALWAYS AS ((sum + 325)::double precision / (count + 50)::double precision) STORED,
  CONSTRAINT aggregated_rating_count CHECK (count = s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10),
  CONSTRAINT aggregated_rating_sum CHECK (
    sum = s1 + 2 * s2 + 3 * s3 + 4 * s4 + 5 * s5 + 6 * s6 + 7 * s7 + 8 * s8 + 9 * s9 + 10 * s10
  )
);

CREATE INDEX aggregated_rating_top ON aggregated_rating (weighted DESC, movie_id) WHERE count > 0;

-- What rating knows of the movies: that they exist, and which are deleted. Filled by events and importers.
CREATE TABLE known_movie (
  id      text    PRIMARY KEY,
  version bigint  NOT NULL DEFAULT 0,
  deleted boolean NOT NULL DEFAULT false
);

CREATE TABLE idempotency (
  viewer_id      text        NOT NULL,
  key            text        NOT NULL,
  operation      text        NOT NULL,
  arguments_hash text        NOT NULL,
  answer         jsonb,
  created_at     timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL,
  PRIMARY KEY (viewer_id, key)
);

CREATE INDEX idempotency_expiry ON idempotency (expires_at);
