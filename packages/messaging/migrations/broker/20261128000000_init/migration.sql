CREATE SCHEMA IF NOT EXISTS messaging;

-- Event databases of before this schema have the tables in `public`, with a history of their own. The row that
-- is added to that history makes older code refuse the database instead of starting with an empty log.
DO $$
BEGIN
  IF to_regclass('public.partition_end') IS NOT NULL THEN
    ALTER TABLE public.topic SET SCHEMA messaging;
    ALTER TABLE public.partition_end SET SCHEMA messaging;
    ALTER TABLE public.message SET SCHEMA messaging;
    ALTER TABLE public.group_position SET SCHEMA messaging;
    INSERT INTO public._prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count)
    VALUES (gen_random_uuid()::text, '', now(), '20261128000000_moved_to_messaging', 1);
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS messaging.topic (
  name       text    PRIMARY KEY,
  partitions integer NOT NULL CHECK (partitions > 0),
  -- states: compacted, the newest message of each key is kept; happenings: retention by time.
  keeps      text    NOT NULL CHECK (keeps IN ('happenings', 'states'))
);

-- The offset of the next message of each partition. Every publish updates it; the fill factor leaves space for
-- heap-only updates.
CREATE TABLE IF NOT EXISTS messaging.partition_end (
  topic       text    NOT NULL REFERENCES messaging.topic (name) ON DELETE CASCADE,
  partition   integer NOT NULL,
  next_offset bigint  NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- The messages. Headers are json, because jsonb refuses an escaped U+0000.
CREATE TABLE IF NOT EXISTS messaging.message (
  topic       text           NOT NULL,
  partition   integer        NOT NULL,
  "offset"    bigint         NOT NULL,
  appended_at timestamptz(3) NOT NULL,
  key         bytea,
  value       bytea,
  headers     json           NOT NULL,
  -- SHA-256 of the key in a compacted topic: a key may be longer than an index entry.
  state_key   bytea,
  PRIMARY KEY (topic, partition, "offset")
);

-- Finds out whether a message of a compacted topic is the newest of its key.
CREATE INDEX IF NOT EXISTS message_state ON messaging.message (topic, partition, state_key, "offset")
  WHERE state_key IS NOT NULL;

-- The committed offset of each consumer group: the offset of the next message that it reads.
CREATE TABLE IF NOT EXISTS messaging.group_position (
  "group"   text    NOT NULL,
  topic     text    NOT NULL,
  partition integer NOT NULL,
  committed bigint  NOT NULL,
  PRIMARY KEY ("group", topic, partition)
) WITH (fillfactor = 50);
