-- What there is to publish to.
CREATE TABLE topic (
  name       text    PRIMARY KEY,
  partitions integer NOT NULL CHECK (partitions > 0),
  keeps      text    NOT NULL CHECK (keeps IN ('happenings', 'states'))
);

-- The offset that the next message of a partition gets. Moved by every publish, so that there is room to do it in place.
CREATE TABLE partition_end (
  topic       text    NOT NULL REFERENCES topic (name) ON DELETE CASCADE,
  partition   integer NOT NULL,
  next_offset bigint  NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- The log. Bytes are kept as they came; headers are json, not jsonb, which would refuse an escaped U+0000.
CREATE TABLE message (
  topic       text           NOT NULL,
  partition   integer        NOT NULL,
  "offset"    bigint         NOT NULL,
  appended_at timestamptz(3) NOT NULL,
  key         bytea,
  value       bytea,
  headers     json           NOT NULL,
  -- SHA-256 of the key in a topic of states: a key may be longer than an index takes.
  state_key   bytea,
  PRIMARY KEY (topic, partition, "offset")
);

-- Whether a state is the newest of its key; topics of happenings cost nothing here.
CREATE INDEX message_state ON message (topic, partition, state_key, "offset") WHERE state_key IS NOT NULL;

-- How far a consumer group is: the next offset that it reads.
CREATE TABLE group_position (
  "group"   text    NOT NULL,
  topic     text    NOT NULL,
  partition integer NOT NULL,
  committed bigint  NOT NULL,
  PRIMARY KEY ("group", topic, partition)
) WITH (fillfactor = 50);
