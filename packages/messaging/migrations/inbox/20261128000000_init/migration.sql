-- Databases of before this schema have the tables already: a migration of the subgraph moved them here.
CREATE SCHEMA IF NOT EXISTS messaging;

-- The deduplication keys of the messages that were consumed, so that a redelivered message has no effect.
CREATE TABLE IF NOT EXISTS messaging.inbox (
  consumer text        NOT NULL,
  identity text        NOT NULL COLLATE "C",
  seen_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, identity)
);

CREATE INDEX IF NOT EXISTS inbox_seen ON messaging.inbox USING brin (seen_at);

-- Messages that could not be consumed, with everything that is needed to consume them later.
CREATE TABLE IF NOT EXISTS messaging.dead_letter (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer    text        NOT NULL,
  identity    text        NOT NULL COLLATE "C",
  topic       text        NOT NULL,
  partition   integer     NOT NULL,
  "offset"    bigint      NOT NULL,
  appended_at timestamptz NOT NULL,
  key         bytea,
  value       bytea,
  headers     jsonb       NOT NULL,
  code        text        NOT NULL,
  reason      text        NOT NULL,
  state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'dropped')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (consumer, identity)
);

CREATE INDEX IF NOT EXISTS dead_letter_open ON messaging.dead_letter (id) WHERE state = 'open';
