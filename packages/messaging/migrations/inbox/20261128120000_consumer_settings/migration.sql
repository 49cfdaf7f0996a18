-- The settings with which each consumer was started last, so that a replay of dead letters uses the same.
CREATE TABLE messaging.consumer_settings (
  consumer   text        NOT NULL PRIMARY KEY,
  settings   jsonb       NOT NULL,
  started_at timestamptz NOT NULL
);
