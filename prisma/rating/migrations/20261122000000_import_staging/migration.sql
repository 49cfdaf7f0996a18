-- Ratings of a file on their way into rating. Logged, so that an import that was killed goes on where it stood. No key: COPY
-- fills it as it comes, and its index is made once it is full.
CREATE TABLE staged_rating (
  line       bigint NOT NULL,
  movie_id   text   NOT NULL,
  viewer_id  text   NOT NULL,
  score      smallint CHECK (score BETWEEN 1 AND 10),
  event_time timestamptz
);

-- The import that the staged ratings belong to; none when nothing is staged. `identity` is of its source, once read whole.
CREATE TABLE import_run (
  one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
  source         text        NOT NULL,
  identity       text,
  started_at     timestamptz NOT NULL,
  read           bigint      NOT NULL,
  refused        bigint      NOT NULL,
  -- Every movie up to this one is merged; '' before the first.
  merged_through text        NOT NULL DEFAULT '',
  written        bigint      NOT NULL DEFAULT 0,
  merged         bigint      NOT NULL DEFAULT 0
);
