-- Users whose accounts were deleted: their votes are removed step by step. A row is deleted when that is done for good.
CREATE TABLE deleted_viewer (
  viewer_id text           NOT NULL,
  next_at   timestamptz(3) NOT NULL,
  final_at  timestamptz(3) NOT NULL,
  CONSTRAINT deleted_viewer_pkey PRIMARY KEY (viewer_id)
);
CREATE INDEX deleted_viewer_due ON deleted_viewer (next_at, viewer_id);

-- Retracted votes, which the index of a viewer's votes does not have.
CREATE INDEX rating_retracted_of_viewer ON rating (viewer_id) WHERE score IS NULL;
