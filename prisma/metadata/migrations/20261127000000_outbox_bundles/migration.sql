-- What one statement tells of many keys is one row: a JSON array of {key, trace, data}, and how many. The id of the n-th event
-- is event_id plus n - 1 in its last 16 bits. Written and marked row by row, those cost more than all else that a rating does.
ALTER TABLE outbox
  ADD COLUMN events               json,
  ADD COLUMN size                 smallint NOT NULL DEFAULT 1,
  -- Of each event of the row its partition: null while it waits, -1 when the broker said that it would never take it.
  ADD COLUMN published_partitions integer[],
  -- When one of the row was put aside. Such a row stays until somebody sends it again.
  ADD COLUMN aside_at             timestamptz,
  -- Packing costs more than the disk that it saves for three days.
  ALTER COLUMN events SET STORAGE EXTERNAL;

UPDATE outbox SET
  published_partitions = ARRAY[CASE WHEN published_offset IS NULL THEN -1 ELSE published_partition END],
  aside_at = CASE WHEN published_offset IS NULL THEN published_at END
WHERE published_at IS NOT NULL;

DROP INDEX outbox_unpublished;
ALTER TABLE outbox
  DROP CONSTRAINT outbox_event_or_copy,
  DROP COLUMN published_partition,
  DROP COLUMN published_offset,
  ADD CONSTRAINT outbox_events_or_copy CHECK (
    num_nonnulls(payload, events) = (type IS NOT NULL)::integer AND (type IS NULL OR value IS NULL)
  );

CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL;
CREATE INDEX outbox_aside ON outbox (position) WHERE aside_at IS NOT NULL;

-- Each event, and each copy, by itself, in order of (position, place).
CREATE VIEW outbox_event AS
SELECT position, event.place::integer, size,
  (left(event_id::text, 32) || lpad(to_hex(
    (('x' || right(event_id::text, 4))::bit(16)::integer + event.place - 1) % 65536
  ), 4, '0'))::uuid AS event_id,
  type, version, topic, event.key, event.payload, value, event.trace, created_at, published_at, aside_at,
  published_partitions[event.place] AS partition
FROM outbox CROSS JOIN LATERAL (
  SELECT 1::bigint AS place, outbox.key, outbox.payload, outbox.trace WHERE outbox.events IS NULL
  UNION ALL
  SELECT place, one ->> 'key', (one -> 'data')::jsonb, one ->> 'trace'
  FROM json_array_elements(outbox.events) WITH ORDINALITY AS bundled (one, place)
) AS event;
