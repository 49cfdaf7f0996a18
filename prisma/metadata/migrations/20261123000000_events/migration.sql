-- What is to be told to the world, written in the transaction of what it tells of; the relay publishes it in order of
-- position. With a type it is an event of ours (payload), which the relay puts into an envelope and signs; without, a
-- message that goes out as it is (value, headers).
CREATE TABLE outbox (
  position            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id            uuid        NOT NULL DEFAULT gen_random_uuid(),
  type                text,
  version             smallint    NOT NULL DEFAULT 1,
  topic               text        NOT NULL,
  key                 text,
  payload             jsonb,
  value               bytea,
  headers             jsonb,
  trace               text,
  created_at          timestamptz NOT NULL DEFAULT now(),
  published_at        timestamptz,
  published_partition integer,
  published_offset    bigint,
  CONSTRAINT outbox_event_or_copy CHECK ((type IS NULL) = (payload IS NULL) AND (type IS NULL OR value IS NULL))
);

-- Those that wait, and the few that were put aside: they have a time of publishing, and no offset.
CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_offset IS NULL;

CREATE FUNCTION notify_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY outbox;
  RETURN NULL;
END $$;

CREATE TRIGGER outbox_written AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION notify_outbox();

-- The offset behind the last message of ours in each partition: a broker whose end is before it has lost messages.
CREATE TABLE outbox_end (
  topic       text    NOT NULL,
  partition   integer NOT NULL,
  next_offset bigint  NOT NULL,
  PRIMARY KEY (topic, partition)
);

-- How far the present state has been announced to a topic that is younger than the tables.
CREATE TABLE announcement (
  topic   text PRIMARY KEY,
  through text NOT NULL
);

-- What was taken in: a message that comes again is known by its identity.
CREATE TABLE inbox (
  consumer text        NOT NULL,
  identity text        NOT NULL COLLATE "C",
  seen_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, identity)
);

CREATE INDEX inbox_seen ON inbox USING brin (seen_at);

-- Messages that could not be taken in, with all that is needed to do so later.
CREATE TABLE dead_letter (
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

CREATE INDEX dead_letter_open ON dead_letter (id) WHERE state = 'open';
