-- The queue tables belong to the package messaging, which keeps them in a schema of their own and migrates them
-- from here on (packages/messaging/migrations).
CREATE SCHEMA IF NOT EXISTS messaging;

ALTER TABLE outbox SET SCHEMA messaging;
ALTER VIEW outbox_event SET SCHEMA messaging;
ALTER FUNCTION notify_outbox() SET SCHEMA messaging;
ALTER TABLE outbox_end SET SCHEMA messaging;

ALTER TABLE announcement RENAME TO backfill;
ALTER INDEX announcement_pkey RENAME TO backfill_pkey;
ALTER TABLE backfill SET SCHEMA messaging;

ALTER TABLE inbox SET SCHEMA messaging;
ALTER TABLE dead_letter SET SCHEMA messaging;
