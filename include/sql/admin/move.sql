-- The photographs have been copied to another bucket or prefix: their rows get the new paths, and
-- nothing is extracted anew. Both end with a slash. While no sweep and no search runs:
--   psql "postgresql://…" -v old=s3://old/images/ -v new=s3://new/photos/ \
--       -f include/sql/admin/move.sql
\set ON_ERROR_STOP on
BEGIN;
-- A sweep that has begun knows the old paths, and must not end now.
LOCK TABLE landmark_sweeps IN EXCLUSIVE MODE;
-- What the new place had got already would be there twice; the features that moved are the same.
DELETE FROM landmarks AS there USING landmarks AS moved
WHERE starts_with(moved.image_path, :'old') AND there.model = moved.model
  AND there.image_path = :'new' || substr(moved.image_path, length(:'old') + 1);
DELETE FROM landmark_failures AS there USING landmark_failures AS moved
WHERE starts_with(moved.image_path, :'old') AND there.model = moved.model
  AND there.image_path = :'new' || substr(moved.image_path, length(:'old') + 1);
UPDATE landmarks SET image_path = :'new' || substr(image_path, length(:'old') + 1)
WHERE starts_with(image_path, :'old');
UPDATE landmark_failures SET image_path = :'new' || substr(image_path, length(:'old') + 1)
WHERE starts_with(image_path, :'old');
DELETE FROM landmark_sweep_images;
COMMIT;
