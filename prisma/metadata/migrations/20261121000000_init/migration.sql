-- Trusted since PostgreSQL 13: the database's owner may create it without being a superuser.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE movie (
  id                          text           PRIMARY KEY,
  title                       text           NOT NULL CHECK (char_length(title) BETWEEN 1 AND 300),
  description                 text,
  release_date                date,
  release_year                integer,
  runtime_minutes             integer        CHECK (runtime_minutes > 0),
  certification               text,
  languages                   text[]         NOT NULL DEFAULT '{}',
  poster_url                  text,
  production_budget           numeric(19, 4) CHECK (production_budget >= 0),
  production_budget_currency  text,
  worldwide_gross             numeric(19, 4) CHECK (worldwide_gross >= 0),
  worldwide_gross_currency    text,
  domestic_gross              numeric(19, 4) CHECK (domestic_gross >= 0),
  domestic_gross_currency     text,
  domestic_dvd_sales          numeric(19, 4) CHECK (domestic_dvd_sales >= 0),
  domestic_dvd_sales_currency text,
  version                     integer        NOT NULL DEFAULT 1,
  created_at                  timestamptz(3) NOT NULL,
  updated_at                  timestamptz(3) NOT NULL,
  deleted_at                  timestamptz(3),
  CONSTRAINT movie_release_year_of_date
    CHECK (release_date IS NULL OR release_year IS NOT DISTINCT FROM EXTRACT(YEAR FROM release_date)::integer),
  CONSTRAINT movie_amounts_have_currencies CHECK (
    (production_budget IS NULL) = (production_budget_currency IS NULL)
    AND (worldwide_gross IS NULL) = (worldwide_gross_currency IS NULL)
    AND (domestic_gross IS NULL) = (domestic_gross_currency IS NULL)
    AND (domestic_dvd_sales IS NULL) = (domestic_dvd_sales_currency IS NULL)
  )
);

-- Filters.
CREATE INDEX movie_title_search ON movie USING gin (title gin_trgm_ops) WHERE deleted_at IS NULL;
CREATE INDEX movie_release_year ON movie (release_year);
CREATE INDEX movie_runtime_minutes ON movie (runtime_minutes);
CREATE INDEX movie_certification ON movie (certification);

-- Sort orders (MovieSort), each read in both directions. A missing value stands as the last there can be, which is why a
-- nullable column has one index for each direction of sorting.
CREATE INDEX movie_by_title ON movie ((lower(title) COLLATE "C"), id COLLATE "C") WHERE deleted_at IS NULL;
CREATE INDEX movie_by_release_asc
  ON movie (coalesce(release_date, make_date(release_year, 1, 1), 'infinity'::date), id COLLATE "C")
  WHERE deleted_at IS NULL;
CREATE INDEX movie_by_release_desc
  ON movie (coalesce(release_date, make_date(release_year, 1, 1), '-infinity'::date), id COLLATE "C")
  WHERE deleted_at IS NULL;
CREATE INDEX movie_by_runtime_asc ON movie (coalesce(runtime_minutes, 2147483647), id COLLATE "C")
  WHERE deleted_at IS NULL;
CREATE INDEX movie_by_runtime_desc ON movie (coalesce(runtime_minutes, 0), id COLLATE "C") WHERE deleted_at IS NULL;
CREATE INDEX movie_by_created_at ON movie (created_at, id COLLATE "C") WHERE deleted_at IS NULL;

CREATE TABLE external_id (
  source   text NOT NULL,
  value    text NOT NULL,
  movie_id text NOT NULL REFERENCES movie (id),
  PRIMARY KEY (source, value)
);

CREATE INDEX external_id_movie ON external_id (movie_id);

CREATE TABLE external_rating (
  movie_id  text             NOT NULL REFERENCES movie (id),
  source    text             NOT NULL,
  average   double precision NOT NULL,
  votes     integer          CHECK (votes >= 0),
  scale_top integer          NOT NULL,
  PRIMARY KEY (movie_id, source),
  CONSTRAINT external_rating_in_scale CHECK (average BETWEEN 0 AND scale_top)
);

CREATE TABLE person (
  id   text PRIMARY KEY,
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200)
);

CREATE TABLE credit (
  movie_id  text    NOT NULL REFERENCES movie (id),
  role      text    NOT NULL CHECK (role IN ('DIRECTOR', 'ACTOR')),
  position  integer NOT NULL CHECK (position > 0),
  person_id text    NOT NULL REFERENCES person (id),
  character text,
  PRIMARY KEY (movie_id, role, position)
);

CREATE INDEX credit_person ON credit (person_id, movie_id);

CREATE TABLE genre (
  id   text PRIMARY KEY,
  name text NOT NULL
);

CREATE TABLE movie_genre (
  movie_id text NOT NULL REFERENCES movie (id),
  genre_id text NOT NULL REFERENCES genre (id),
  PRIMARY KEY (movie_id, genre_id)
);

CREATE INDEX movie_genre_genre ON movie_genre (genre_id, movie_id);

-- A movie as an outside source last told it: a later import compares with it, field by field, and so sees what its source
-- changed since and what people changed here.
CREATE TABLE source_record (
  movie_id text  NOT NULL REFERENCES movie (id),
  source   text  NOT NULL,
  hash     text  NOT NULL,
  record   jsonb NOT NULL,
  PRIMARY KEY (movie_id, source)
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
