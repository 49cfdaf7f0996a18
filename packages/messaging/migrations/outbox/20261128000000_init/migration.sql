-- Databases of before this schema have the tables already: a migration of the subgraph moved them here.
CREATE SCHEMA IF NOT EXISTS messaging;

-- Events and messages to publish, appended in the transaction of the change that they describe. The relay
-- publishes them in order of position. A row is an event (type, payload), a bundle of events (type, events) or,
-- without a type, a message that is published unchanged (value, headers).
CREATE TABLE IF NOT EXISTS messaging.outbox (
  position             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- The id of the first event of the row; that of the n-th is n - 1 higher in its last 16 bits.
  event_id             uuid        NOT NULL DEFAULT gen_random_uuid(),
  type                 text,
  version              smallint    NOT NULL DEFAULT 1,
  topic                text        NOT NULL,
  key                  text,
  payload              jsonb,
  value                bytea,
  headers              jsonb,
  trace                text,
  created_at           timestamptz NOT NULL DEFAULT now(),
  -- Set as soon as every event of the row is published or parked.
  published_at         timestamptz,
  -- A bundle: a JSON array of {key, trace, data}. Not compressed: packing costs more than the disk space.
  events               json,
  -- The number of events in the row.
  size                 smallint    NOT NULL DEFAULT 1,
  -- The partition of each event of the row: null if it is not published yet, -1 if it is parked.
  published_partitions integer[],
  -- When an event of the row was parked. Such a row is kept until the event is sent again.
  aside_at             timestamptz,
  CONSTRAINT outbox_events_or_copy CHECK (
    num_nonnulls(payload, events) = (type IS NOT NULL)::integer AND (type IS NULL OR value IS NULL)
  )
);
ALTER TABLE messaging.outbox ALTER COLUMN events SET STORAGE EXTERNAL;

CREATE INDEX IF NOT EXISTS outbox_unpublished ON messaging.outbox (position) WHERE published_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_aside ON messaging.outbox (position) WHERE aside_at IS NOT NULL;

-- Wakes the relay.
CREATE OR REPLACE FUNCTION messaging.notify_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY outbox;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER outbox_written AFTER INSERT ON messaging.outbox
  FOR EACH STATEMENT EXECUTE FUNCTION messaging.notify_outbox();

-- Each event of the outbox in a row of its own, in order of (position, ordinal).
DROP VIEW IF EXISTS messaging.outbox_event;
CREATE VIEW messaging.outbox_event AS
SELECT position, event.ordinal::integer, size,
  (left(event_id::text, 32) || lpad(to_hex(
    (('x' || right(event_id::text, 4))::bit(16)::integer + event.ordinal - 1) % 65536
  ), 4, '0'))::uuid AS event_id,
  type, version, topic, event.key, event.payload, value, event.trace, created_at, published_at, aside_at,
  published_partitions[event.ordinal] AS partition
FROM messaging.outbox CROSS JOIN LATERAL (
  SELECT 1::bigint AS ordinal, outbox.key, outbox.payload, outbox.trace WHERE outbox.events IS NULL
  UNION ALL
  SELECT ordinal, one ->> 'key', (one -> 'data')::jsonb, one ->> 'trace'
  FROM json_array_elements(outbox.events) WITH ORDINALITY AS bundled (one, ordinal)
) AS event;

-- The offset after the last message that the relay published to each partition. A broker whose end offset is
-- lower has lost messages.
CREATE TABLE IF NOT EXISTS messaging.outbox_end (
  topic       text    NOT NULL,
  partition   integer NOT NULL,
  next_offset bigint  NOT NULL,
  PRIMARY KEY (topic, partition)
);

-- How far the backfill of each topic is: `behind <key>` or `finished`.
CREATE TABLE IF NOT EXISTS messaging.backfill (
  topic   text PRIMARY KEY,
  through text NOT NULL
);
