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
-- What people said goes along, each pair in the order of its new paths. Nothing can be said of a
-- photograph and its copy, which are one from now on; of two pairs that become one the later counts.
CREATE TEMPORARY TABLE said ON COMMIT DROP AS
SELECT number, is_moved, least(one, two) AS first, greatest(one, two) AS second
FROM (SELECT number, starts_with(first, :'old') OR starts_with(second, :'old') AS is_moved,
        CASE WHEN starts_with(first, :'old')
            THEN :'new' || substr(first, length(:'old') + 1) ELSE first END COLLATE "C" AS one,
        CASE WHEN starts_with(second, :'old')
            THEN :'new' || substr(second, length(:'old') + 1) ELSE second END COLLATE "C" AS two
      FROM landmark_corrections) AS moved;
DELETE FROM landmark_corrections USING said
WHERE landmark_corrections.number = said.number AND said.first = said.second;
UPDATE landmark_corrections AS earlier SET ended_by = later.said_by, ended_at = later.said_at
FROM said AS here, said AS there, landmark_corrections AS later
WHERE earlier.number = here.number AND later.number = there.number AND earlier.number < later.number
  AND (here.first, here.second) = (there.first, there.second)
  AND earlier.ended_at IS NULL AND later.ended_at IS NULL;
UPDATE landmark_corrections SET first = said.first, second = said.second
FROM said WHERE landmark_corrections.number = said.number AND is_moved;
-- So do watches; what was reported, or was no news, is none at its new path either.
UPDATE landmark_watches AS watch SET ended_by = watch.started_by, ended_at = clock_timestamp()
FROM landmark_watches AS moved
WHERE starts_with(moved.photograph, :'old') AND moved.ended_at IS NULL AND watch.ended_at IS NULL
  AND watch.photograph = :'new' || substr(moved.photograph, length(:'old') + 1);
UPDATE landmark_watches SET photograph = :'new' || substr(photograph, length(:'old') + 1)
WHERE starts_with(photograph, :'old');
INSERT INTO landmark_watched SELECT watch, :'new' || substr(image_path, length(:'old') + 1)
FROM landmark_watched WHERE starts_with(image_path, :'old') ON CONFLICT DO NOTHING;
DELETE FROM landmark_watched WHERE starts_with(image_path, :'old');
-- And what was removed from the index stays out at its new path.
UPDATE landmark_removals AS there SET ended_by = moved.removed_by, ended_at = clock_timestamp()
FROM landmark_removals AS moved
WHERE starts_with(moved.path, :'old') AND moved.ended_at IS NULL AND there.ended_at IS NULL
  AND there.path = :'new' || substr(moved.path, length(:'old') + 1);
UPDATE landmark_removals SET path = :'new' || substr(path, length(:'old') + 1)
WHERE starts_with(path, :'old');
DELETE FROM landmark_sweep_images;
COMMIT;
