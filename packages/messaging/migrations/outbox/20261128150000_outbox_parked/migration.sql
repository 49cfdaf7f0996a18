-- Events that the broker rejected for good. A person sends them again (npm run events -- outbox).
CREATE TABLE messaging.outbox_parked (
  event_id   uuid        PRIMARY KEY,
  -- Where the event was in the outbox when it was parked first; the ordinal is null if it was alone in its row.
  position   bigint      NOT NULL,
  ordinal    integer,
  type       text,
  version    smallint    NOT NULL,
  topic      text        NOT NULL,
  key        text,
  payload    jsonb,
  value      bytea,
  headers    jsonb,
  trace      text,
  created_at timestamptz NOT NULL,
  parked_at  timestamptz NOT NULL DEFAULT now(),
  -- Why the broker rejected it; null if it was parked before this table existed.
  reason     text,
  -- The position of the copy in the outbox, if the event was sent again. It is no longer parked then.
  resent_as  bigint
);

INSERT INTO messaging.outbox_parked (event_id, position, ordinal, type, version, topic, key, payload, value, headers,
  trace, created_at, parked_at)
SELECT event.event_id, position, CASE WHEN event.size > 1 THEN event.ordinal END, event.type, event.version,
  event.topic, event.key, event.payload, event.value, outbox.headers, event.trace, event.created_at, event.aside_at
FROM messaging.outbox_event AS event JOIN messaging.outbox USING (position)
WHERE event.aside_at IS NOT NULL AND event.partition = -1;

DROP VIEW messaging.outbox_event;

-- The parked events leave the outbox. A bundle keeps null in the location of each, because the ids of its events are
-- counted. The other events of a bundle that is not published completely are published again: consumers recognize them.
DELETE FROM messaging.outbox WHERE aside_at IS NOT NULL AND events IS NULL AND published_partitions[1] = -1;
UPDATE messaging.outbox SET events = (
  SELECT json_agg(CASE WHEN published_partitions[ordinal] IS DISTINCT FROM -1 THEN one END ORDER BY ordinal)
  FROM json_array_elements(events) WITH ORDINALITY AS bundled (one, ordinal)
)
WHERE aside_at IS NOT NULL;

ALTER TABLE messaging.outbox DROP COLUMN published_partitions, DROP COLUMN aside_at;

-- Each event of the outbox in a row of its own, in order of (position, ordinal).
CREATE VIEW messaging.outbox_event AS
SELECT position, event.ordinal::integer, size,
  (left(event_id::text, 32) || lpad(to_hex(
    (('x' || right(event_id::text, 4))::bit(16)::integer + event.ordinal - 1) % 65536
  ), 4, '0'))::uuid AS event_id,
  type, version, topic, event.key, event.payload, value, headers, event.trace, created_at, published_at
FROM messaging.outbox CROSS JOIN LATERAL (
  SELECT 1::bigint AS ordinal, outbox.key, outbox.payload, outbox.trace WHERE outbox.events IS NULL
  UNION ALL
  SELECT ordinal, one ->> 'key', (one -> 'data')::jsonb, one ->> 'trace'
  FROM json_array_elements(outbox.events) WITH ORDINALITY AS bundled (one, ordinal)
  WHERE json_typeof(one) <> 'null'
) AS event;
