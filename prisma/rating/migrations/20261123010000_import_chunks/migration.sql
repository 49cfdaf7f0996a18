-- A movie with more ratings than a chunk is merged in several, so that an import knows up to which viewer of it. What a killed
-- import left staged is indexed by movies alone; it begins anew.
TRUNCATE staged_rating, import_run;
DROP INDEX IF EXISTS staged_rating_by_movie;
ALTER TABLE import_run ADD COLUMN merged_through_viewer text NOT NULL DEFAULT '';
